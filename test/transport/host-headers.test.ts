import { expect, test } from 'vitest';
import { lastMail, mailsTo } from '../support/inbox.ts';
import { ada, serviceKey } from '../support/people.ts';
import { send } from '../support/raw-http.ts';
import { start } from '../support/start.ts';

/** What a client or a careless proxy says of the host, the scheme and the path of the service. */
const said: readonly Record<string, string>[] = [
  { host: 'evil.example' },
  { host: 'evil.example:8443', 'x-forwarded-proto': 'http', 'x-forwarded-port': '81' },
  { 'x-forwarded-host': 'evil.example', 'x-forwarded-prefix': '/evil' },
  { forwarded: 'host=evil.example;proto=http' },
  { 'x-original-host': 'evil.example', 'x-rewrite-url': 'http://evil.example/' },
];

test('links in mails and responses lead to PUBLIC_URL, whatever headers say of the host', async () => {
  const service = await start({ env: { PUBLIC_URL: 'https://login.example.org', MAIL_GAP: '0s' } });
  await service.welcome({ ...ada, emailVerified: true });
  const port = service.replicas[0]!.httpPort;
  const ask = async (path: string, headers: Record<string, string>, body?: object) => {
    const sent = { 'content-type': 'application/json', ...headers };
    const method = body ? 'POST' : 'GET';
    return send(port, { method, path, headers: sent, ...(body && { body: JSON.stringify(body) }) });
  };
  const asBackend = { authorization: `Bearer ${serviceKey}` };
  for (const headers of said) {
    const seen = [
      await ask('/gatehouse.v1.AuthService/RequestPasswordReset', headers, { email: ada.email }),
      await ask('/auth/v1/recover', headers, { email: ada.email }),
      await ask('/gatehouse.v1.DeviceService/StartCliLogin', headers, {}),
      await ask('/gatehouse.v1.DeviceService/RequestDeviceCode', headers, {}),
      await ask('/.well-known/oauth-authorization-server/auth/v1', headers),
      await ask('/auth/v1/.well-known/openid-configuration', headers),
      await ask('/auth/v1/admin/generate_link', { ...headers, ...asBackend }, { type: 'magiclink', email: ada.email }),
      await ask('/auth/v1/verify?type=signup&token=x', headers),
      await ask('/devices', headers),
    ];
    for (const { status, text, headers: answered } of seen) {
      expect(status, text).toBeLessThan(400);
      expect(`${text} ${JSON.stringify(answered)}`, JSON.stringify(headers)).not.toMatch(/evil|:8443|:81\b/);
    }
    const link = new URL((await lastMail(service, ada.email)).link);
    expect(link.origin).toBe('https://login.example.org');
    service.ledger.keepSecret(seen[6]!.json.hashed_token);
  }
  expect(JSON.stringify(await mailsTo(service, ada.email))).not.toContain('evil');
});
