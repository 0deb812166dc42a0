// @serializable
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { lastMail, mailsTo } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { codeFor, confirmed, followLink, open, shown, startSupabase, surfaceOf } from '../support/supabase.ts';
import { enrollTotp } from '../support/supabase-factors.ts';

const { email, password } = ada;
const env = { SITE_URL: 'http://app.example.com/' };
const expired = [403, 'otp_expired', 'Email link is invalid or has expired'];

/** Ada, whose address is verified. */
async function startWithUser(more: Record<string, string> = {}) {
  const supabase = await startSupabase({ env: { ...env, ...more } });
  await supabase.service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
  return supabase;
}

describe('a magic link', () => {
  test('is requested alike for a known and an unknown address, and opens a session at aal1', async () => {
    const { client, service, request } = await startWithUser();
    for (const address of [email, 'nobody@example.org']) {
      const { status, body } = await request('POST', '/magiclink', { body: { email: address, create_user: false } });
      expect([status, body]).toEqual([200, {}]);
    }
    expect(await mailsTo(service, 'nobody@example.org')).toEqual([]);
    const { fragment } = await followLink(service, email);
    expect(decodeJwt(fragment.access_token!)).toMatchObject({ aal: 'aal1', amr: [{ method: 'otp' }] });
    expect((await client().getUser(fragment.access_token)).data.user!.email).toBe(email);
  });

  test('works once, for its own type, within an hour, and until a newer one was sent', async () => {
    const { client, service } = await startWithUser({ MAIL_GAP: '0s' });
    const send = async () => {
      expect((await client().signInWithOtp({ email })).error).toBeNull();
      return (await lastMail(service, email)).link;
    };
    const reasonFor = async (link: string) => (await open(service, link)).fragment.error_code;
    const older = await send();
    const link = await send();
    expect(await reasonFor(older)).toBe('otp_expired');
    for (const type of ['signup', 'recovery', 'invite', 'email_change'])
      expect(await reasonFor(link.replace('type=magiclink', `type=${type}`)), type).toBe('otp_expired');
    expect(await reasonFor(link)).toBeUndefined();
    expect(await reasonFor(link)).toBe('otp_expired');
    const late = await send();
    service.pass(3601);
    expect(await reasonFor(late)).toBe('otp_expired');
  });

  test('does not void the confirmation of a sign-up', async () => {
    const { client, service } = await startSupabase({ env });
    await client().signUp({ email, password });
    const { link } = await lastMail(service, email);
    service.pass(120);
    await client().signInWithOtp({ email });
    expect((await lastMail(service, email)).link).not.toBe(link);
    expect((await open(service, link)).fragment.access_token).toBeTypeOf('string');
    expect((await client().signInWithPassword({ email, password })).error).toBeNull();
  });
});

test('of twenty uses of one recovery one opens a session', async () => {
  const barrier = new Barrier('VerifyOtp');
  const { service } = await startSupabase({ env, replicas: 2, inner: [barrier.interceptor()] });
  await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
  await surfaceOf(service).request('POST', '/recover', { body: { email } });
  const { token: token_hash } = await lastMail(service, email);
  barrier.expect(crowd);
  const body = { type: 'recovery', token_hash };
  const { answers } = await together((n) => surfaceOf(service, n).request('POST', '/verify', { body }));
  const refused = answers.filter(({ status }) => status !== 200);
  expect(refused.map(({ status, body: { error_code, msg } }) => [status, error_code, msg])).toEqual(
    Array(crowd - 1).fill(expired),
  );
  expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
});

test('a value of a change of address changes nothing as another type, or for another user', async () => {
  const { client, service } = await startWithUser(confirmed);
  const auth = client();
  await auth.signInWithPassword({ email, password });
  const other = client();
  await other.signUp(bob);
  await auth.updateUser({ email: 'countess@example.org' });
  const { link } = await lastMail(service, 'countess@example.org');
  for (const type of ['signup', 'magiclink', 'recovery', 'invite', 'email'])
    expect((await open(service, link.replace('type=email_change', `type=${type}`))).fragment.error_code).toBe(
      'otp_expired',
    );
  const token = await codeFor(service, 'countess@example.org');
  for (const address of [bob.email, email]) {
    const { error } = await other.verifyOtp({ email: address, token, type: 'email_change' });
    expect(shown(error)).toEqual([403, 'otp_expired', 'Token has expired or is invalid']);
  }
  expect((await auth.getUser()).data.user).toMatchObject({ email, new_email: 'countess@example.org' });
  expect((await other.getUser()).data.user!.email).toBe(bob.email);
  expect((await followLink(service, 'countess@example.org')).fragment.message).toMatch(/^Confirmation link accepted/);
});

test('a deleted user signs in by nothing that was issued before, and the address is free', async () => {
  const { client, service, request } = await startWithUser({ MAIL_GAP: '0s' });
  const auth = client();
  const { session } = (await auth.signInWithPassword({ email, password })).data;
  const { factorId } = await enrollTotp(auth);
  await auth.updateUser({ email: 'countess@example.org' });
  const links = [(await lastMail(service, email)).link, (await lastMail(service, 'countess@example.org')).link];
  for (const ask of [() => client().signInWithOtp({ email }), () => client().resetPasswordForEmail(email)]) {
    expect((await ask()).error).toBeNull();
    links.push((await lastMail(service, email)).link);
  }
  const headers = { authorization: `Bearer ${session!.access_token}` };
  expect((await request('DELETE', '/user', { headers })).status).toBe(204);
  for (const link of links) expect((await open(service, link)).fragment.error_code, link).toBe('otp_expired');
  const before = (await mailsTo(service, email)).length;
  for (const path of ['/recover', '/magiclink']) {
    const { status, body } = await request('POST', path, { body: { email, create_user: false } });
    expect([status, body]).toEqual([200, {}]);
  }
  expect(await mailsTo(service, email)).toHaveLength(before);
  const { refresh_token } = session!;
  for (const [method, path, body] of [
    ['GET', '/user'],
    ['PUT', '/user', { data: {} }],
    ['POST', `/factors/${factorId}/challenge`],
    ['POST', '/token?grant_type=refresh_token', { refresh_token }],
    ['POST', '/token?grant_type=password', { email, password }],
  ] as const) {
    const { status } = await request(method, path, { headers, body });
    expect([path, status >= 400 && status < 500]).toEqual([path, true]);
  }
  const again = await client().signUp({ email, password: 'quite another phrase' });
  expect(again.error).toBeNull();
});
