import { expect } from 'vitest';
import { ada, asService } from '../../support/people.ts';
import { confirmed, flowTypes, supabaseAdmin } from '../../support/supabase.ts';
import type { Site } from '../../support/supabase-visitor.ts';
import { verifierKey } from '../../support/supabase-visitor.ts';
import { expiredLink, type Flows, isSignedIn } from './flow.ts';

const { email, password } = ada;
const next = 'countess@example.org';
const wrongCode = {
  name: 'AuthApiError',
  status: 403,
  code: 'otp_expired',
  message: 'Token has expired or is invalid',
};

const registered = ({ service }: Site) =>
  service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);

/** Flows that go on with a link or a code in a mail. */
export const mailedFlows: Flows = {
  'signInWithOtp signs in by the link, once': {
    flowTypes,
    async run(site) {
      const { visitor, inbox, origin } = site;
      await registered(site);
      const here = await visitor();
      const emailRedirectTo = `${origin}/inside?tab=1`;
      const nothing = await here.call('signInWithOtp', { email, options: { emailRedirectTo } });
      expect(nothing).toMatchObject({ user: null, session: null });
      const link = await inbox.link(email);
      expect(await here.open(link)).toEqual({ path: '/inside', tab: '1' });
      expect((await here.call('getUser')).user.email).toBe(email);
      expect(await here.open(link)).toEqual({ path: '/inside', tab: '1', ...expiredLink });
      expect(await isSignedIn(here), 'the second click signs nobody out').toBe(true);
      await here.call('signOut');
      expect(await here.open(link)).toMatchObject(expiredLink);
      expect(await isSignedIn(here)).toBe(false);
    },
  },

  'signInWithOtp signs in by the code, and registers an unknown address': {
    flowTypes,
    async run({ visitor, inbox }) {
      const here = await visitor();
      await here.call('signInWithOtp', { email, options: { data: { plan: 'pro' } } });
      const token = await inbox.code(email);
      const wrong = token === '000000' ? '000001' : '000000';
      expect(await here.refusal('verifyOtp', { email, token: wrong, type: 'email' })).toMatchObject(wrongCode);
      const { user } = await here.call('verifyOtp', { email, token, type: 'email' });
      expect(user).toMatchObject({ email, user_metadata: { plan: 'pro' }, email_confirmed_at: expect.any(String) });
      const there = await visitor();
      await there.call('signInWithOtp', { email });
      const second = await there.call('verifyOtp', { email, token: await inbox.code(email), type: 'email' });
      expect(second.user.id).toBe(user.id);
    },
  },

  'a link signs in another browser than the one that asked for it': {
    async run(site) {
      await registered(site);
      const [asks, opens] = [await site.visitor(), await site.visitor()];
      await asks.call('signInWithOtp', { email });
      expect(await opens.open(await site.inbox.link(email))).toEqual({ path: '/' });
      expect([await isSignedIn(asks), await isSignedIn(opens)]).toEqual([false, true]);
    },
  },

  'the code of a link (PKCE) is for the browser that asked for it': {
    flowTypes: ['pkce'],
    async run(site) {
      await registered(site);
      const [asks, opens] = [await site.visitor(), await site.visitor()];
      await asks.call('signInWithOtp', { email });
      expect(await asks.stored()).toContain(verifierKey);
      const { path, code } = await opens.open(await site.inbox.link(email));
      site.service.ledger.keepSecret(code!);
      expect([path, await isSignedIn(opens)]).toEqual(['/', false]);
      expect(await opens.refusal('exchangeCodeForSession', code)).toMatchObject({
        ...{ name: 'AuthPKCECodeVerifierMissingError', code: 'pkce_code_verifier_not_found' },
        message: expect.stringMatching(/^PKCE code verifier not found in storage/),
      });
      await opens.call('signInWithOtp', { email: 'other@example.org' });
      expect(await opens.refusal('exchangeCodeForSession', code)).toMatchObject({
        ...{ name: 'AuthApiError', status: 400, code: 'bad_code_verifier' },
        message: 'code challenge does not match previously saved code verifier',
      });
      expect(await isSignedIn(opens)).toBe(false);
      expect((await asks.call('exchangeCodeForSession', code)).user.email, 'the code is not used up').toBe(email);
      expect(await asks.stored()).not.toContain(verifierKey);
    },
  },

  'a sign-up (PKCE) is confirmed by a link in another browser, and goes on in its own': {
    flowTypes: ['pkce'],
    async run({ visitor, inbox, service }) {
      const [asks, opens] = [await visitor(), await visitor()];
      const { user } = await asks.call('signUp', { email, password });
      const { code } = await opens.open(await inbox.link(email));
      service.ledger.keepSecret(code!);
      const { code: reason } = await opens.refusal('exchangeCodeForSession', code);
      expect(reason).toBe('pkce_code_verifier_not_found');
      const signedIn = await opens.call('signInWithPassword', { email, password });
      expect(signedIn.user).toMatchObject({ id: user.id, email_confirmed_at: expect.any(String) });
      expect((await asks.call('exchangeCodeForSession', code)).user.id).toBe(user.id);
      expect((await opens.call('getUser')).user.id).toBe(user.id);
    },
  },

  'a generated link signs in without a mail': {
    async run(site) {
      await registered(site);
      const admin = supabaseAdmin(site.service);
      const { data } = await admin.generateLink({ type: 'magiclink', email });
      const here = await site.visitor();
      const { action_link } = data.properties!;
      expect(await here.open(action_link)).toEqual({ path: '/' });
      expect((await here.call('getUser')).user.email).toBe(email);
      expect(await here.open(action_link)).toMatchObject(expiredLink);
      expect(await site.inbox.count(email)).toBe(0);
    },
  },

  'a change of address needs both mails, in either order': {
    flowTypes,
    env: confirmed,
    async run({ visitor, inbox }) {
      const here = await visitor();
      const { user } = await here.call('signUp', { email, password });
      for (const [from, to, order] of [
        [email, next, [next, email]],
        [next, email, [next, email]],
      ] as const) {
        const { user: asked } = await here.call('updateUser', { email: to });
        expect(asked).toMatchObject({ id: user.id, email: from, new_email: to });
        const [first, second] = [await inbox.link(order[0]), await inbox.link(order[1])];
        expect(await here.open(first)).toEqual({
          path: '/',
          message: 'Confirmation link accepted. Please proceed to confirm link sent to the other email',
        });
        expect((await here.call('getUser')).user).toMatchObject({ email: from, new_email: to });
        expect(await here.open(first), 'a mailbox counts once').toMatchObject(expiredLink);
        expect(await here.open(second)).toEqual({ path: '/' });
        expect((await here.call('getUser')).user).toMatchObject({ id: user.id, email: to });
      }
      const there = await visitor();
      expect(await there.refusal('signInWithPassword', { email: next, password })).toMatchObject({ status: 400 });
      await there.call('signInWithPassword', { email, password });
    },
  },

  'resend sends links that go on where the first mails are lost': {
    flowTypes,
    async run({ visitor, inbox, origin }) {
      const here = await visitor();
      const lost: string[] = [];
      await here.call('signUp', { email, password });
      lost.push(await inbox.link(email));
      const options = { emailRedirectTo: `${origin}/again` };
      await here.call('resend', { type: 'signup', email, options });
      expect(await here.open(await inbox.link(email))).toEqual({ path: '/again' });
      await here.call('updateUser', { email: next });
      lost.push(await inbox.link(email), await inbox.link(next));
      await here.call('resend', { type: 'email_change', email, options });
      expect(await here.open(await inbox.link(email))).toMatchObject({
        path: '/again',
        message: expect.stringMatching(/^Confirmation/),
      });
      expect(await here.open(await inbox.link(next))).toEqual({ path: '/again' });
      expect((await here.call('getUser')).user.email).toBe(next);
      for (const link of lost) expect(await here.open(link)).toMatchObject(expiredLink);
      expect((await here.call('getUser')).user.email).toBe(next);
    },
  },

  'a change of address is confirmed by the codes of both mails': {
    env: confirmed,
    async run({ visitor, inbox }) {
      const here = await visitor();
      await here.call('signUp', { email, password });
      await here.call('updateUser', { email: next });
      const type = 'email_change';
      const first = await here.call('verifyOtp', { email: next, token: await inbox.code(next), type });
      expect(first).toMatchObject({ user: null, session: null });
      const { user } = await here.call('verifyOtp', { email, token: await inbox.code(email), type });
      expect([user.email, (await here.call('getUser')).user.email]).toEqual([next, next]);
    },
  },
};
