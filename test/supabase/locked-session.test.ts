import { expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { asUser, confirmed, startSupabase } from '../support/supabase.ts';

const { email, password } = ada;

test('a refresh that waits for a lock fails within five seconds, and its token still works afterwards', async () => {
  const { client, service, request } = await startSupabase({ env: confirmed });
  const auth = client();
  const { data } = await auth.signUp({ email, password });
  const { access_token, refresh_token } = data.session!;
  const release = await service.database.hold('select 1 from sessions for update');
  const begun = performance.now();
  const refreshing = request('POST', '/token?grant_type=refresh_token', { body: { refresh_token } });
  const read = await request('GET', '/user', { headers: asUser(access_token) });
  expect([read.status, performance.now() - begun < 1000]).toEqual([200, true]);
  const { status } = await refreshing;
  expect(performance.now() - begun).toBeLessThan(5000);
  expect([409, 503]).toContain(status);
  await release();
  const working = `select state from pg_stat_activity where datname = current_database() and state <> 'idle'
    and pid <> pg_backend_pid() and backend_type = 'client backend'`;
  await expect.poll(() => service.database.query(working)).toEqual([]);
  const generations = () => service.database.query('select generation from sessions');
  expect(await generations(), 'nothing commits later').toEqual([{ generation: 0 }]);
  expect((await auth.refreshSession()).error).toBeNull();
});
