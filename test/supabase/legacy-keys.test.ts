import { createHmac, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { asUser, confirmed, startSupabase, supabaseAdmin } from '../support/supabase.ts';

const secret = 'super-secret-jwt-token-with-at-least-32-characters-long';
const env = {
  ...confirmed,
  SUPABASE_JWT_SECRETS: `${secret},${'another secret'.replaceAll(' ', '-').padEnd(32, 'x')}`,
};

function sign(payload: object, { key = secret, alg = 'HS256' } = {}): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode({ alg, typ: 'JWT' })}.${encode(payload)}`;
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
}

describe('the service_role key of a Supabase project', () => {
  test('is the key of a backend, with and without times and a subject', async () => {
    const { service } = await startSupabase({ env });
    const later = Math.floor(Date.now() / 1000) + 600;
    for (const claims of [{}, { iss: 'supabase-demo', sub: '1234567890' }, { exp: later, iat: later - 900 }]) {
      const admin = supabaseAdmin(service, sign({ role: 'service_role', ...claims }));
      expect((await admin.listUsers()).error).toBeNull();
    }
    const admin = supabaseAdmin(service, sign({ role: 'supabase_admin' }));
    expect((await admin.createUser({ email: ada.email, email_confirm: true })).error).toBeNull();
  });

  test('is refused by the native methods, and where no secret is configured', async () => {
    const { service } = await startSupabase({ env });
    const headers = asUser(sign({ role: 'service_role' }));
    await expect(service.clients('json').admin.listUsers({}, { headers })).rejects.toThrow('not valid');
    const without = await startSupabase();
    expect((await without.request('GET', '/admin/users', { headers })).body.error_code).toBe('bad_jwt');
  });

  test('is refused with another signature, another algorithm, and after its expiry', async () => {
    const { request } = await startSupabase({ env });
    const now = Math.floor(Date.now() / 1000);
    for (const token of [
      sign({ role: 'service_role' }, { key: 'x'.repeat(40) }),
      sign({ role: 'service_role' }, { alg: 'none' }),
      sign({ role: 'service_role' }, { alg: 'HS512' }),
      sign({ role: 'service_role', exp: now - 1 }),
      sign({ role: 'service_role', exp: 'never' }),
      sign({ role: 'service_role', nbf: now + 600 }),
    ])
      expect((await request('GET', '/admin/users', { headers: asUser(token) })).body.error_code).toBe('bad_jwt');
  });
});

describe('another token of a Supabase project', () => {
  test('is no key of a backend, and opens no session', async () => {
    const { request } = await startSupabase({ env });
    const cases: [object, number, string, string][] = [
      [{ role: 'anon' }, 403, 'bad_jwt', 'invalid claim: missing sub claim'],
      [{ role: 'authenticated', sub: 'ada' }, 400, 'bad_jwt', 'invalid claim: sub claim must be a UUID'],
      [
        { role: 'authenticated', sub: randomUUID(), session_id: randomUUID() },
        ...([403, 'session_not_found', 'Session from session_id claim in JWT does not exist'] as const),
      ],
    ];
    for (const [claims, ...expected] of cases)
      for (const path of ['/user', '/admin/users']) {
        const { status, body } = await request('GET', path, { headers: asUser(sign(claims)) });
        expect([status, body.error_code, body.msg]).toEqual(expected);
      }
  });
});
