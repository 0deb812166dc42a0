import { expect } from 'vitest';
import { ada, bob } from '../../support/people.ts';
import { confirmed, flowTypes, supabaseAdmin } from '../../support/supabase.ts';
import { expiredLink, type Flows, isSignedIn } from './flow.ts';

const { email, password } = ada;

export const signUpFlows: Flows = {
  'signUp without a confirmation signs in at once, and names what it refuses': {
    env: confirmed,
    async run({ visitor }) {
      const here = await visitor();
      const weak = await here.refusal('signUp', { email, password: 'ab1' });
      expect(weak).toMatchObject({ name: 'AuthWeakPasswordError', status: 422, reasons: ['length'] });
      const { user, session } = await here.call('signUp', { email, password, options: { data: { plan: 'pro' } } });
      expect(session.user).toMatchObject({ id: user.id, email, user_metadata: { plan: 'pro' } });
      expect((await here.call('getUser')).user.id).toBe(user.id);
      const there = await visitor();
      expect(await there.refusal('signUp', { email, password })).toMatchObject({ code: 'user_already_exists' });
      const wrong = { status: 400, code: 'invalid_credentials', message: 'Invalid login credentials' };
      expect(await there.refusal('signInWithPassword', { email, password: 'another' })).toMatchObject(wrong);
      expect(await isSignedIn(there)).toBe(false);
      expect((await there.call('signInWithPassword', { email, password })).user.id).toBe(user.id);
    },
  },

  'signUp with a confirmation signs in by the link, once': {
    flowTypes,
    async run({ visitor, inbox, origin }) {
      const here = await visitor();
      const emailRedirectTo = `${origin}/welcome`;
      const { user, session } = await here.call('signUp', { email, password, options: { emailRedirectTo } });
      expect([session, user.email_confirmed_at]).toEqual([null, undefined]);
      const early = await here.refusal('signInWithPassword', { email, password });
      expect(early).toMatchObject({ status: 400, code: 'email_not_confirmed', message: 'Email not confirmed' });
      const link = await inbox.link(email);
      expect(await here.open(link)).toEqual({ path: '/welcome' });
      const opened = (await here.call('getSession')).session;
      expect(opened.user).toMatchObject({ id: user.id, email_confirmed_at: expect.any(String) });
      expect(await here.open(link)).toEqual({ path: '/welcome', ...expiredLink });
      expect((await here.call('getUser')).user.id, 'the second click signs nobody out').toBe(user.id);
      const there = await visitor();
      expect(await there.open(link)).toMatchObject(expiredLink);
      expect(await isSignedIn(there)).toBe(false);
      await there.call('signInWithPassword', { email, password });
    },
  },

  'signUp with a confirmation signs in by the code, also that of a second mail': {
    async run({ visitor, inbox }) {
      const here = await visitor();
      await here.call('signUp', { email, password });
      const first = await inbox.code(email);
      await here.call('resend', { type: 'signup', email });
      expect(await inbox.count(email)).toBe(2);
      const token = await inbox.code(email);
      if (first !== token)
        expect(await here.refusal('verifyOtp', { email, token: first, type: 'signup' })).toMatchObject({
          ...{ status: 403, code: 'otp_expired', message: 'Token has expired or is invalid' },
        });
      const { user, session } = await here.call('verifyOtp', { email, token, type: 'signup' });
      expect([user.email, session.token_type]).toEqual([email, 'bearer']);
      expect(await here.refusal('verifyOtp', { email, token, type: 'signup' })).toMatchObject({ code: 'otp_expired' });
    },
  },

  'a guest keeps the id with an address and a password': {
    flowTypes,
    async run({ visitor, inbox }) {
      const here = await visitor();
      const { user } = await here.call('signInAnonymously', { options: { data: { theme: 'dark' } } });
      expect(user).toMatchObject({ is_anonymous: true, user_metadata: { theme: 'dark' } });
      await here.call('updateUser', { email });
      expect(await here.open(await inbox.link(email))).toEqual({ path: '/' });
      expect((await here.call('getUser')).user).toMatchObject({ id: user.id, is_anonymous: false, email });
      await here.call('updateUser', { password });
      const there = await visitor();
      expect((await there.call('signInWithPassword', { email, password })).user.id).toBe(user.id);
    },
  },

  'an invited person arrives by the link, and sets a password': {
    async run({ visitor, inbox, service, origin }) {
      const invited = await supabaseAdmin(service).inviteUserByEmail(bob.email, {
        redirectTo: `${origin}/start`,
        data: { team: 'a' },
      });
      expect(invited.error).toBeNull();
      const here = await visitor();
      const link = await inbox.link(bob.email);
      expect(await here.open(link)).toEqual({ path: '/start' });
      const { user } = await here.call('updateUser', { password: bob.password });
      expect(user).toMatchObject({ id: invited.data.user!.id, user_metadata: { team: 'a' } });
      expect(await here.open(link)).toMatchObject(expiredLink);
      await (await visitor()).call('signInWithPassword', { email: bob.email, password: bob.password });
    },
  },
};
