import { describe, expect, test } from 'vitest';
import { installedBrowser } from '../pages/browser.ts';
import { codeOf } from '../support/authenticator.ts';
import { ada } from '../support/people.ts';
import { aalOf, call, openSite, plain } from '../support/supabase-site.ts';
import { plugIn } from '../support/virtual-authenticator.ts';

if (!installedBrowser) console.warn('NOT TRIED: auth-js in a browser, because there is no Chromium on this machine');

const { email, password } = ada;

const credentials = JSON.stringify({ email, password });

describe.runIf(installedBrowser)('auth-js in Chromium', { timeout: 120_000 }, () => {
  test('signs up, enrols an app whose image it shows, and steps up in all tabs', async () => {
    const { service, tab, another } = await openSite();
    await call(tab, `auth.signUp(${credentials})`);
    await call(tab, 'auth.signOut()');
    await call(tab, `auth.signInWithPassword(${credentials})`);
    const { id, totp } = await call(tab, `auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' })`);
    const width = await tab.evaluate(
      `(async () => { const image = new Image(); image.src = ${JSON.stringify(totp.qr_code)}; await image.decode(); return image.naturalWidth; })()`,
    );
    expect(width).toBeGreaterThan(0);
    const verification = JSON.stringify({ factorId: id, code: codeOf(totp.secret, service.now()) });
    await call(tab, `auth.mfa.challengeAndVerify(${verification})`);
    const level = { currentLevel: 'aal2', nextLevel: 'aal2' };
    expect(await call(tab, 'auth.mfa.getAuthenticatorAssuranceLevel()')).toMatchObject(level);
    const second = await another();
    expect(await call(second, 'auth.mfa.getAuthenticatorAssuranceLevel()')).toMatchObject(level);
    const refused = await tab.evaluate(`(async () => ${plain(`auth.mfa.challengeAndVerify(${verification})`)})()`);
    expect(refused).toMatchObject({ error: { code: 'mfa_verification_failed' } });
  });

  test('refreshes in two tabs at once, and both stay signed in', async () => {
    const { tab, another } = await openSite();
    await call(tab, `auth.signUp(${credentials})`);
    const { session_id } = await aalOf(tab);
    const second = await another();
    // The library of the slower tab discards its tokens, and uses what the other has stored.
    const outcomes = `(async () => { const { error } = await auth.refreshSession(); return error?.name ?? 'refreshed'; })()`;
    for (let time = 0; time < 3; time++) {
      const both = await Promise.all([tab, second].map((each) => each.evaluate(outcomes)));
      expect(both).toContain('refreshed');
      expect(['refreshed', 'AuthRefreshDiscardedError']).toEqual(expect.arrayContaining(both));
    }
    for (const each of [tab, second]) {
      expect((await aalOf(each)).session_id).toBe(session_id);
      expect((await call(each, 'auth.getUser()')).user.email).toBe(email);
      await call(each, 'auth.refreshSession()');
    }
  });

  test('refreshes in one tab while the other verifies a factor, and both end at aal2', async () => {
    const { service, tab, another, request } = await openSite();
    await call(tab, `auth.signUp(${credentials})`);
    const { id, totp } = await call(tab, `auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' })`);
    const second = await another();
    for (let round = 0; round < 8; round++) {
      await call(tab, 'auth.signOut()');
      await call(tab, `auth.signInWithPassword(${credentials})`);
      const before = (await call(tab, 'auth.getSession()')).session as { refresh_token: string };
      service.pass(30);
      const verification = JSON.stringify({ factorId: id, code: codeOf(totp.secret, service.now()) });
      const after = (ms: number) => `await new Promise((resolve) => setTimeout(resolve, ${ms}));`;
      const [verified] = await Promise.all([
        tab.evaluate(`(async () => { ${after(20)} ${plain(`auth.mfa.challengeAndVerify(${verification})`)} })()`),
        second.evaluate(`(async () => { ${after(round * 8)} await auth.refreshSession(); })()`),
      ]);
      expect(verified).toMatchObject({ error: null });
      for (const each of [tab, second]) {
        expect((await aalOf(each)).aal).toBe('aal2');
        expect((await call(each, 'auth.getUser()')).user.email).toBe(email);
      }
      const { refresh_token } = before;
      const old = await request('POST', '/token?grant_type=refresh_token', { body: { refresh_token } });
      expect([old.status, old.body.access_token]).toEqual([400, undefined]);
      await call(second, 'auth.refreshSession()');
      expect((await aalOf(second)).aal, 'the old token has revoked nothing').toBe('aal2');
    }
  });

  test('verifies a token without a request once it has the keys', async () => {
    const { tab, context } = await openSite();
    await call(tab, `auth.signUp(${credentials})`);
    await call(tab, 'auth.getClaims()');
    const requests: string[] = [];
    tab.on('request', (request) => void requests.push(request.url()));
    await context.setOffline(true);
    const { claims, header } = await call(tab, 'auth.getClaims()');
    expect(claims).toMatchObject({ email, aal: 'aal1', role: 'authenticated', is_anonymous: false });
    expect(header.alg).toBe('ES256');
    expect(requests).toEqual([]);
  });

  test('registers a passkey and signs in with it', async () => {
    const { tab } = await openSite();
    const signedUp = await call(tab, `auth.signUp(${credentials})`);
    await plugIn(tab, true);
    const { id } = await call(tab, 'auth.registerPasskey()');
    expect(await call(tab, 'auth.passkey.list()')).toMatchObject([{ id }]);
    await call(tab, 'auth.signOut()');
    const signedIn = await call(tab, 'auth.signInWithPasskey()');
    expect(signedIn.user.id).toBe(signedUp.user.id);
    expect((await aalOf(tab)).aal).toBe('aal2');
  });

  test.each([true, false])(
    'registers a security key and authenticates with it, with a PIN or without: %s',
    async (hasPin) => {
      const { tab } = await openSite();
      await call(tab, `auth.signUp(${credentials})`);
      // The library asks for an authenticator that can be unplugged.
      await plugIn(tab, hasPin, 'usb');
      await call(tab, `auth.mfa.webauthn.register({ friendlyName: 'key' })`);
      expect((await aalOf(tab)).aal).toBe('aal2');
      await call(tab, 'auth.signOut()');
      await call(tab, `auth.signInWithPassword(${credentials})`);
      expect((await aalOf(tab)).aal).toBe('aal1');
      const { webauthn } = await call(tab, 'auth.mfa.listFactors()');
      await call(tab, `auth.mfa.webauthn.authenticate({ factorId: '${webauthn[0].id}' })`);
      expect((await aalOf(tab)).aal).toBe('aal2');
    },
  );
});
