import { expect } from 'vitest';
import { codeOf } from '../../support/authenticator.ts';
import { ada } from '../../support/people.ts';
import { confirmed, flowTypes } from '../../support/supabase.ts';
import { expiredLink, type Flows } from './flow.ts';

const { email, password } = ada;
const newer = 'quite another phrase';

/** Flows that end with another password. */
export const passwordFlows: Flows = {
  'resetPasswordForEmail, verifyOtp and updateUser set a password, and revoke the other sessions': {
    env: confirmed,
    async run({ visitor, inbox }) {
      const [here, there] = [await visitor(), await visitor()];
      await there.call('signUp', { email, password });
      expect(await here.call('resetPasswordForEmail', 'nobody@example.org')).toEqual({});
      expect(await here.call('resetPasswordForEmail', email)).toEqual({});
      const token = await inbox.code(email);
      const { user } = await here.call('verifyOtp', { email, token, type: 'recovery' });
      expect(user.email).toBe(email);
      await expect.poll(here.events).toContain('PASSWORD_RECOVERY');
      expect(await here.refusal('updateUser', { password })).toMatchObject({ code: 'same_password' });
      await here.call('updateUser', { password: newer });
      expect(await there.refusal('getUser')).toMatchObject({ name: 'AuthSessionMissingError' });
      expect(await there.refusal('signInWithPassword', { email, password })).toMatchObject({
        ...{ code: 'invalid_credentials' },
      });
      await there.call('signInWithPassword', { email, password: newer });
      expect((await here.call('getUser')).user.email).toBe(email);
    },
  },

  'the link of resetPasswordForEmail leads to the page that sets a password, once': {
    flowTypes,
    env: confirmed,
    async run({ visitor, inbox, origin }) {
      const here = await visitor();
      await (await visitor()).call('signUp', { email, password });
      await here.call('resetPasswordForEmail', email, { redirectTo: `${origin}/reset` });
      const link = await inbox.link(email);
      expect(await here.open(link)).toEqual({ path: '/reset' });
      await here.call('updateUser', { password: newer });
      expect(await here.open(link)).toEqual({ path: '/reset', ...expiredLink });
      await (await visitor()).call('signInWithPassword', { email, password: newer });
    },
  },

  'the recovery of a user with a factor sets a password after the factor': {
    flowTypes,
    env: confirmed,
    async run({ visitor, inbox, service }) {
      const [here, there] = [await visitor(), await visitor()];
      await there.call('signUp', { email, password });
      const { id, totp } = await there.call('mfa.enroll', { factorType: 'totp' });
      const verify = () => ({ factorId: id, code: codeOf(totp.secret, service.now()) });
      await there.call('mfa.challengeAndVerify', verify());
      service.pass(30);
      await here.call('resetPasswordForEmail', email);
      expect(await here.open(await inbox.link(email))).toEqual({ path: '/' });
      const levels = { currentLevel: 'aal1', nextLevel: 'aal2' };
      expect(await here.call('mfa.getAuthenticatorAssuranceLevel')).toMatchObject(levels);
      const early = await here.refusal('updateUser', { password: newer });
      expect(early).toMatchObject({ status: 401, code: 'insufficient_aal' });
      await here.call('mfa.challengeAndVerify', verify());
      await here.call('updateUser', { password: newer });
      await (await visitor()).call('signInWithPassword', { email, password: newer });
    },
  },

  'reauthenticate sends the code with which updateUser sets a password long after the sign-in': {
    env: confirmed,
    async run({ visitor, inbox, service }) {
      const here = await visitor();
      await here.call('signUp', { email, password });
      service.pass(23 * 3600);
      await here.call('refreshSession');
      service.pass(2 * 3600);
      await here.call('refreshSession');
      expect(await here.refusal('updateUser', { password: newer })).toMatchObject({
        ...{ status: 400, code: 'reauthentication_needed', message: 'Password update requires reauthentication' },
      });
      await here.call('reauthenticate');
      const nonce = await inbox.code(email);
      const wrong = nonce === '000000' ? '000001' : '000000';
      expect(await here.refusal('updateUser', { password: newer, nonce: wrong })).toMatchObject({
        ...{ status: 422, code: 'reauthentication_not_valid', message: 'Nonce has expired or is invalid' },
      });
      await here.call('updateUser', { password: newer, nonce });
      expect(await here.refusal('updateUser', { password: 'a third phrase', nonce })).toMatchObject({
        ...{ code: 'reauthentication_not_valid' },
      });
      await (await visitor()).call('signInWithPassword', { email, password: newer });
    },
  },
};
