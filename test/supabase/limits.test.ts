import { expect, test } from 'vitest';
import { ada, asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { confirmed, startSupabase } from '../support/supabase.ts';

const person = (n: number) => ({ ...ada, email: `ada-${n}@example.org` });

test('sign-ups through /auth/v1 have a budget of their own, which LIMITS changes', async () => {
  const { request, service } = await startSupabase({
    env: { ...confirmed, LIMITS: 'AuthService.Register=2,AuthService.Register:supabase=3' },
  });
  for (let n = 0; n < 3; n++) expect((await request('POST', '/signup', { body: person(n) })).status).toBe(200);
  const { status, headers, body } = await request('POST', '/signup', { body: person(3) });
  expect([status, body.error_code, body.msg]).toEqual([429, 'over_request_rate_limit', 'Request rate limit reached']);
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  const { auth } = service.clients('json');
  for (let n = 4; n < 6; n++) await auth.register(person(n));
  expect((await refusalOf(auth.register(person(6)))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
});

test('the servers of a web site may sign up thirty people a minute', async () => {
  const { request } = await startSupabase({ env: { ...confirmed, LIMITS: 'AuthService.GetMe=off' } });
  for (let n = 0; n < 30; n++) expect((await request('POST', '/signup', { body: person(n) })).status).toBe(200);
  expect((await request('POST', '/signup', { body: person(30) })).status).toBe(429);
});

test('failed sign-ins through /auth/v1 and others are counted apart', async () => {
  const LIMITS = 'AuthService.SignIn=2,AuthService.SignIn:supabase=3,AuthService.SignIn:consecutive=off';
  const { request, service } = await startSupabase({ env: { ...confirmed, LIMITS } });
  const { auth, admin } = service.clients('json');
  await admin.createUser({ ...ada, emailVerified: true }, asService);
  for (let n = 0; n < 2; n++) await refusalOf(auth.signIn({ ...ada, password: 'wrong' }));
  expect((await refusalOf(auth.signIn(ada))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
  const signIn = (password: string) =>
    request('POST', '/token?grant_type=password', { body: { email: ada.email, password } });
  expect((await signIn(ada.password)).status).toBe(200);
  for (let n = 0; n < 3; n++) expect((await signIn('wrong')).status).toBe(400);
  expect((await signIn(ada.password)).status).toBe(429);
});
