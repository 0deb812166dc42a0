// @serializable
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { describe, expect, test } from 'vitest';
import { fetchFrom, startOAuth } from '../support/oauth.ts';
import { crowd, together } from '../support/race.ts';
import { bearer } from '../support/start.ts';

const issuer = new URL('http://gatehouse.test/auth/v1');

async function prepare() {
  const prepared = await startOAuth({ replicas: 2 });
  let calls = 0;
  // Each request goes to the next replica.
  const fetching = fetchFrom(() => prepared.service.replicas[calls++ % 2]!.httpPort);
  return { ...prepared, fetching };
}

describe('oauth4webapi', () => {
  async function discovered() {
    const prepared = await prepare();
    const options = { [oauth.customFetch]: prepared.fetching, [oauth.allowInsecureRequests]: true };
    const found = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' });
    const server = await oauth.processDiscoveryResponse(issuer, found);
    const client = { client_id: 'tv' };
    const none = oauth.None();
    const start = async () => {
      const response = await oauth.deviceAuthorizationRequest(server, client, none, {}, options);
      return oauth.processDeviceAuthorizationResponse(server, client, response);
    };
    const take = async (code: string) => {
      const response = await oauth.deviceCodeGrantRequest(server, client, none, code, options);
      return oauth.processDeviceCodeResponse(server, client, response);
    };
    const outcome = (code: string) =>
      take(code).then(
        () => 'OK',
        (error) => (error as oauth.ResponseBodyError).error,
      );
    const refresh = async (token: string) => {
      const response = await oauth.refreshTokenGrantRequest(server, client, none, token, options);
      return oauth.processRefreshTokenResponse(server, client, response);
    };
    const revoke = async (token: string) =>
      oauth.processRevocationResponse(await oauth.revocationRequest(server, client, none, token, options));
    return { ...prepared, start, take, outcome, refresh, revoke };
  }

  test('sees a device pending, slowed down, approved, redeemed and redeemed twice', async () => {
    const { service, as, user, approve, start, take, outcome } = await discovered();
    const { device_code, user_code } = await start();
    expect([await outcome(device_code), await outcome(device_code)]).toEqual(['authorization_pending', 'slow_down']);
    await approve(user_code, as);
    const { access_token } = await take(device_code);
    const { auth } = service.clients('json');
    expect((await auth.getMe({}, bearer({ accessToken: access_token }))).user!.id).toBe(user.id);
    expect(await outcome(device_code)).toBe('invalid_grant');
  });

  test('sees a device denied and expired', async () => {
    const { service, as, deny, start, outcome } = await discovered();
    const [denied, expired] = [await start(), await start()];
    await deny(denied.user_code, as);
    expect(await outcome(denied.device_code)).toBe('access_denied');
    service.pass(900);
    expect(await outcome(expired.device_code)).toBe('expired_token');
  });

  test('redeems a code once in twenty parallel requests', async () => {
    const { as, approve, start, outcome } = await discovered();
    const { device_code, user_code } = await start();
    await approve(user_code, as);
    const { answers } = await together(() => outcome(device_code), crowd);
    expect(answers.sort()).toEqual(['OK', ...Array(crowd - 1).fill('invalid_grant')]);
  });

  test('refreshes and revokes', async () => {
    const { as, approve, start, take, refresh, revoke } = await discovered();
    const { device_code, user_code } = await start();
    await approve(user_code, as);
    const { refresh_token } = await take(device_code);
    const refreshed = await refresh(refresh_token!);
    await revoke(refreshed.refresh_token!);
    await expect(refresh(refreshed.refresh_token!)).rejects.toMatchObject({ error: 'invalid_grant' });
  });
});

test('openid-client discovers the service, waits for the approval, refreshes and revokes', async () => {
  const { service, as, user, approve, fetching } = await prepare();
  const config = await openid.discovery(issuer, 'tv', undefined, openid.None(), {
    algorithm: 'oauth2',
    execute: [openid.allowInsecureRequests],
    [openid.customFetch]: fetching as openid.CustomFetch,
  });
  const started = await openid.initiateDeviceAuthorization(config, { scope: 'openid' });
  const polling = openid.pollDeviceAuthorizationGrant(config, { ...started, interval: 1 });
  await approve(started.user_code, as);
  const { access_token, refresh_token } = await polling;
  const { auth } = service.clients('json');
  expect((await auth.getMe({}, bearer({ accessToken: access_token }))).user!.id).toBe(user.id);
  const refreshed = await openid.refreshTokenGrant(config, refresh_token!);
  await openid.tokenRevocation(config, refreshed.refresh_token!);
  const again = openid.refreshTokenGrant(config, refreshed.refresh_token!);
  await expect(again).rejects.toMatchObject({ error: 'invalid_grant' });
}, 20_000);
