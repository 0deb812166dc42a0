import type { Interceptor } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { kWork } from '../../src/rpc/context.ts';
import { asService } from '../support/people.ts';
import { populatePeople } from '../support/populate.ts';
import { start } from '../support/start.ts';

test('the hot statements are planned once, for any number of sessions in tables of twenty thousand', async () => {
  const plans = new Map<string, { generic: number; custom: number }>();
  const look: Interceptor = (next) => async (req) => {
    const answer = await next(req);
    const list = 'select name, generic_plans::int as generic, custom_plans::int as custom from pg_prepared_statements';
    const rows = await req.contextValues
      .get(kWork)!
      .reads()
      .execute<{ name: string; generic: number; custom: number }[]>(list);
    for (const { name, ...counts } of rows) plans.set(name, counts);
    return answer;
  };
  const service = await start({
    env: { LIMITS: '*=off,SessionService.Refresh:session=off', DATABASE_POOL_SIZE: '1' },
    skipChecks: ['orphans'], // users without accounts
    inner: [look],
  });
  await populatePeople(service.database);
  const { auth, sessions } = service.clients('grpc');
  let guests = await Promise.all(Array.from({ length: 8 }, () => service.guest()));
  for (let round = 0; round < 12; round++) {
    const calls = guests.map(async ({ tokens, as, ...guest }) => {
      const { id } = guest.session;
      expect((await sessions.getSession({ sessionId: id }, as)).session).toMatchObject({ id });
      expect((await auth.getMe({}, as)).user).toMatchObject({ id: guest.user.id });
      expect(await sessions.introspect({ token: tokens.accessToken }, asService)).toMatchObject({ sessionId: id });
      expect((await sessions.listSessions({}, as)).sessions).toMatchObject([{ id }]);
      await auth.updateCredentials({ userMetadata: { round } }, as);
      const { refreshToken } = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
      const refreshed = await sessions.refresh({ refreshToken, includeUser: true });
      return { ...guest, as, tokens: refreshed.tokens! };
    });
    guests = await Promise.all(calls);
  }
  // PostgreSQL makes five custom plans before it chooses the generic one.
  for (const name of [
    'session_rotate',
    'session_rotate_all',
    'session_rotate_with_user',
    'session_rotate_all_with_user',
    'session_states',
    'session_states_introspected',
    'session_states_shown',
    'session_states_me',
  ]) {
    expect(plans.get(name)?.custom, name).toBeLessThanOrEqual(5);
    expect(plans.get(name)?.generic, name).toBeGreaterThan(3);
  }
});
