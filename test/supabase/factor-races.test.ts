// @serializable
import { expect, test } from 'vitest';
import { codeOf } from '../support/authenticator.ts';
import { ada, serviceKey } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { asUser, confirmed, startSupabase, surfaceOf } from '../support/supabase.ts';
import { enrollTotp, useTotp } from '../support/supabase-factors.ts';

const { email, password } = ada;

/** Two replicas, whose calls of one method meet before they write, and ada's client. */
async function startRace(method: string) {
  const barrier = new Barrier(method);
  const env = { ...confirmed, DATABASE_POOL_SIZE: '25' };
  const supabase = await startSupabase({ env, replicas: 2, inner: [barrier.interceptor()] });
  const auth = supabase.client();
  const { data } = await auth.signUp({ email, password });
  const sentBy = (headers: Record<string, string>) => (httpMethod: string, path: string, body?: object) =>
    together(async (n) => {
      const { status, body: seen } = await surfaceOf(supabase.service, n).request(httpMethod, path, { body, headers });
      return { status, code: seen.error_code as string | undefined, accessToken: seen.access_token as string };
    });
  return { ...supabase, barrier, auth, user: data.user!, session: data.session!, sentBy };
}

test('of twenty verifications of one challenge one raises the session', async () => {
  const { service, barrier, auth, session, sentBy } = await startRace('VerifyFactor');
  const { factorId, secret } = await enrollTotp(auth);
  const { data } = await auth.mfa.challenge({ factorId });
  // A challenge admits five codes.
  barrier.expect(5);
  const body = { challenge_id: data!.id, code: codeOf(secret, service.now()) };
  const { answers } = await sentBy(asUser(session.access_token))('POST', `/factors/${factorId}/verify`, body);
  const raised = answers.filter(({ status }) => status === 200);
  expect(raised).toHaveLength(1);
  for (const { status, code } of answers.filter((each) => !raised.includes(each)))
    expect([status, code]).toEqual([422, expect.stringMatching(/^mfa_/)]);
});

test('of twenty removals of one factor by backends one removes it', async () => {
  const { service, barrier, auth, user, sentBy } = await startRace('RemoveUserFactors');
  const { factorId } = await useTotp(service, auth);
  barrier.expect(crowd);
  const { answers } = await sentBy(asUser(serviceKey))('DELETE', `/admin/users/${user.id}/factors/${factorId}`);
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  for (const { status, code } of answers.filter((each) => each.status !== 200))
    expect([status, code]).toEqual([404, 'mfa_factor_not_found']);
  const [row] = await service.database.query<{ count: number }>('select factor_count as count from users');
  expect(row!.count).toBe(0);
});
