import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium, type Page } from 'playwright-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { installedBrowser } from '../pages/browser.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { plugIn } from '../support/virtual-authenticator.ts';

if (!installedBrowser) console.warn('NOT TRIED: passkeys in a browser, because there is no Chromium on this machine');

/** A page that runs both ceremonies with the JSON of the API. */
const page = `<!doctype html><title>passkeys</title><script>
const call = async (method, body, token) => {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: 'Bearer ' + token }) };
  const response = await fetch(api + '/gatehouse.v1.MfaService/' + method, { method: 'POST', headers, body: JSON.stringify(body) });
  return response.json();
};
const attempt = (run) => run().catch((error) => error.name);
const register = (token) => attempt(async () => {
  const { challengeId, creationOptions } = await call('StartPasskeyRegistration', {}, token);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(creationOptions);
  const credential = (await navigator.credentials.create({ publicKey })).toJSON();
  return call('FinishPasskeyRegistration', { challengeId, credential }, token);
});
const signIn = () => attempt(async () => {
  const { requestOptions } = await call('StartPasskeySignIn', {});
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(requestOptions);
  return call('FinishPasskeySignIn', { credential: (await navigator.credentials.get({ publicKey })).toJSON() });
});
const secondFactor = (token) => attempt(async () => {
  const { factor } = await call('EnrollFactor', { type: 'FACTOR_TYPE_WEBAUTHN' }, token);
  const asked = await call('ChallengeFactor', { factorId: factor.id }, token);
  const created = PublicKeyCredential.parseCreationOptionsFromJSON(asked.creationOptions);
  const credential = (await navigator.credentials.create({ publicKey: created })).toJSON();
  const first = await call('VerifyFactor', { factorId: factor.id, challengeId: asked.challengeId, credential }, token);
  const again = await call('ChallengeFactor', { factorId: factor.id }, token);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(again.requestOptions);
  const signed = (await navigator.credentials.get({ publicKey })).toJSON();
  const second = await call('VerifyFactor', { factorId: factor.id, challengeId: again.challengeId, credential: signed }, token);
  return [first, second];
});
</script>`;

/** A page of the application, and a service that knows its origin. */
async function openSite() {
  let api = '';
  const site = createServer((_, res) => {
    res.setHeader('content-type', 'text/html').end(`<script>const api = ${JSON.stringify(api)};</script>${page}`);
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  onTestFinished(() => void site.close());
  const origin = `http://localhost:${(site.address() as AddressInfo).port}`;
  const env = { WEBAUTHN_RP_ID: 'localhost', WEBAUTHN_ORIGINS: origin, CORS_ORIGINS: origin };
  const service = await start({ env: { ...env, FRONTEND_URL: origin } });
  api = `http://127.0.0.1:${service.replicas[0]!.httpPort}`;
  const browser = await chromium.launch({ executablePath: installedBrowser!, args: ['--no-sandbox'] });
  onTestFinished(() => browser.close());
  const tab = await browser.newPage();
  await tab.goto(origin);
  return { service, tab };
}

const run = (tab: Page, call: string) => tab.evaluate(call) as Promise<unknown>;

describe.runIf(installedBrowser)('in a browser', { timeout: 120_000 }, () => {
  test('a passkey is registered once on each authenticator, and signs in alone', async () => {
    const { service, tab } = await openSite();
    const { tokens, user } = await service.welcome({ ...ada, emailVerified: true });
    const register = `register(${JSON.stringify(tokens.accessToken)})`;
    const unplug = await plugIn(tab, true);
    expect(await run(tab, register)).toMatchObject({ passkey: { transports: ['internal'] } });
    expect(await run(tab, register)).toBe('InvalidStateError');
    const signedIn = { user: { id: user.id }, session: { aal: 'ASSURANCE_LEVEL_AAL2', amr: [{ method: 'passkey' }] } };
    expect(await run(tab, 'signIn()')).toMatchObject(signedIn);
    await unplug();
    await plugIn(tab, true);
    expect(await run(tab, register)).toHaveProperty('passkey.id');
    expect(await run(tab, 'signIn()')).toMatchObject(signedIn);
  });

  test.each([true, false])('an authenticator is a second factor, with a PIN or without: %s', async (hasPin) => {
    const { service, tab } = await openSite();
    const { tokens } = await service.welcome({ ...ada, emailVerified: true });
    await plugIn(tab, hasPin);
    const raised = { session: { aal: 'ASSURANCE_LEVEL_AAL2', amr: [{ method: 'webauthn' }, { method: 'password' }] } };
    expect(await run(tab, `secondFactor(${JSON.stringify(tokens.accessToken)})`)).toMatchObject([raised, raised]);
  });
});
