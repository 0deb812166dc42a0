// @serializable
import { describe, expect, test } from 'vitest';
import { outcomeOf } from '../support/device-flow.ts';
import { deviceGrant, startOAuth } from '../support/oauth.ts';
import { serviceKey } from '../support/people.ts';
import { crowd, together } from '../support/race.ts';
import { bearer } from '../support/start.ts';

const basic = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`,
});

/** A text, and what is before and behind each dot in it. */
const partsOf = (text: string) => [
  text,
  ...[...text.matchAll(/\./g)].flatMap(({ index }) => [text.slice(0, index), text.slice(index + 1)]),
];

test('the metadata are those of the one issuer', async () => {
  const { urlOf } = await startOAuth();
  const response = await fetch(urlOf('/.well-known/oauth-authorization-server/auth/v1'));
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({
    issuer: 'http://gatehouse.test/auth/v1',
    device_authorization_endpoint: 'http://gatehouse.test/oauth2/device_authorization',
    token_endpoint: 'http://gatehouse.test/oauth2/token',
    jwks_uri: 'http://gatehouse.test/.well-known/jwks.json',
    grant_types_supported: [deviceGrant, 'refresh_token'],
  });
});

describe('a device', () => {
  test('is pending, slowed down, approved and then receives a session once', async () => {
    const { service, as, user, authorize, redeem, approve } = await startOAuth();
    const { device_code, user_code, verification_uri, verification_uri_complete, ...times } = await authorize();
    expect(verification_uri_complete).toBe(`${verification_uri}?user_code=${user_code}`);
    expect(times).toEqual({ expires_in: 900, interval: 5 });
    const pending = await redeem(device_code);
    expect([pending.status, pending.body.error]).toEqual([400, 'authorization_pending']);
    expect(pending.headers.get('cache-control')).toBe('no-store');
    expect((await redeem(device_code)).body.error).toBe('slow_down');
    await approve(user_code, as);
    const { status, body, headers } = await redeem(device_code);
    const shown = [status, headers.get('cache-control'), headers.get('content-type')];
    expect(shown).toEqual([200, 'no-store', 'application/json']);
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3600, refresh_token: expect.any(String) });
    const { auth } = service.clients('json');
    expect((await auth.getMe({}, bearer({ accessToken: body.access_token }))).user!.id).toBe(user.id);
    expect((await redeem(device_code)).body.error).toBe('invalid_grant');
  });

  test('that was denied, and one that expired, are so finally', async () => {
    const { service, as, authorize, redeem, deny } = await startOAuth();
    const [denied, expired] = [await authorize(), await authorize()];
    await deny(denied.user_code, as);
    for (let i = 0; i < 2; i++)
      expect(await redeem(denied.device_code)).toMatchObject({ status: 400, body: { error: 'access_denied' } });
    service.pass(900);
    for (let i = 0; i < 2; i++)
      expect(await redeem(expired.device_code)).toMatchObject({ status: 400, body: { error: 'expired_token' } });
  });

  test('has a code that only its client can redeem', async () => {
    const { as, authorize, redeem, approve, request } = await startOAuth();
    const { device_code, user_code } = await authorize();
    await approve(user_code, as);
    const native = await request();
    for (const code of [device_code.slice(0, -2), user_code, native.deviceCode, ''.padEnd(60, 'A')])
      expect((await redeem(code)).body.error).toBe('invalid_grant');
    expect((await redeem(device_code, { clientId: 'other' })).body.error).toBe('invalid_grant');
    expect((await redeem(device_code)).status).toBe(200);
  });

  test('has a code that no method accepts', async () => {
    const { service, as, authorize, redeem, approve } = await startOAuth();
    const { device_code, user_code } = await authorize();
    await approve(user_code, as);
    const { devices } = service.clients('json');
    for (const deviceCode of partsOf(device_code))
      expect(await outcomeOf(devices.pollDeviceToken({ deviceCode }))).toBe('INVALID_DEVICE_CODE');
    expect((await redeem(device_code)).status).toBe(200);
  });

  test('is redeemed once by twenty clients in parallel on two replicas', async () => {
    const { as, authorize, redeem, approve } = await startOAuth({ replicas: 2 });
    const { device_code, user_code } = await authorize();
    await approve(user_code, as);
    const { answers } = await together((replica) => redeem(device_code, { replica }), crowd);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const errors = answers.filter(({ status }) => status !== 200).map(({ status, body }) => [status, body.error]);
    expect(errors).toEqual(Array(crowd - 1).fill([400, 'invalid_grant']));
  });
});

describe('a token', () => {
  test('is refreshed by its client, and revoked with its session', async () => {
    const { post, signIn, service } = await startOAuth();
    const { refresh_token } = await signIn();
    const refresh = (text: string, client_id = 'tv') =>
      post('/oauth2/token', { grant_type: 'refresh_token', client_id, refresh_token: text });
    expect((await refresh(refresh_token, 'other')).body.error).toBe('invalid_grant');
    for (const refreshToken of partsOf(refresh_token))
      expect(await outcomeOf(service.clients('json').sessions.refresh({ refreshToken }))).toBe('REFRESH_TOKEN_INVALID');
    const { body } = await refresh(refresh_token);
    expect(body.refresh_token).not.toBe(refresh_token);
    const revoke = (text: string, client_id = 'tv') => post('/oauth2/revoke', { client_id, token: text });
    expect(await revoke(body.refresh_token, 'other')).toMatchObject({ status: 200, body: undefined });
    const me = () => service.clients('json').auth.getMe({}, bearer({ accessToken: body.access_token }));
    await me();
    expect(await revoke(body.refresh_token)).toMatchObject({ status: 200, body: undefined });
    await expect(me()).rejects.toThrow('ended');
    expect((await refresh(body.refresh_token)).body.error).toBe('invalid_grant');
    for (const unknown of ['x', 'x.y', body.refresh_token, body.access_token])
      expect((await revoke(unknown)).status).toBe(200);
  });

  test('that is an access token is revoked with its session too, and no other session of the user is', async () => {
    const { post, signIn, service, as } = await startOAuth();
    const { access_token } = await signIn();
    const other = await signIn();
    expect((await post('/oauth2/revoke', { client_id: 'tv', token: access_token })).status).toBe(200);
    const { auth } = service.clients('json');
    await expect(auth.getMe({}, bearer({ accessToken: access_token }))).rejects.toThrow('ended');
    await auth.getMe({}, bearer({ accessToken: other.access_token }));
    await auth.getMe({}, as);
  });

  test('is described to backends only', async () => {
    const { post, signIn, user } = await startOAuth();
    const { access_token } = await signIn();
    const introspect = (text: string, headers: Record<string, string> = {}, form = {}) =>
      post('/oauth2/introspect', { token: text, ...form }, { headers });
    const active = { active: true, sub: user.id, token_type: 'Bearer', iss: 'http://gatehouse.test/auth/v1' };
    for (const way of [
      await introspect(access_token, { authorization: `Bearer ${serviceKey}` }),
      await introspect(access_token, basic('backend', serviceKey)),
      await introspect(access_token, {}, { client_id: 'backend', client_secret: serviceKey }),
    ])
      expect(way).toMatchObject({ status: 200, body: { ...active, exp: expect.any(Number) } });
    expect((await introspect('x', basic('backend', serviceKey))).body).toEqual({ active: false });
    for (const headers of [basic('backend', 'wrong'), basic('backend', access_token)]) {
      const refused = await introspect(access_token, headers);
      expect([refused.status, refused.body.error]).toEqual([401, 'invalid_client']);
      expect(refused.headers.get('www-authenticate')).toMatch(/^Basic /);
    }
    for (const headers of [undefined, { authorization: 'Bearer wrong' }]) {
      const refused = await introspect(access_token, headers);
      expect([refused.status, refused.body.error]).toEqual([401, 'invalid_client']);
      expect(refused.headers.get('www-authenticate')).toMatch(/^Bearer /);
    }
    const refused = await introspect(access_token, {}, { client_id: 'tv' });
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, null]);
  });
});
