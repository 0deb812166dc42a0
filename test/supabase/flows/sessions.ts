import { decodeJwt } from 'jose';
import { expect } from 'vitest';
import { ada } from '../../support/people.ts';
import { confirmed } from '../../support/supabase.ts';
import { type Flow, type Flows, isSignedIn } from './flow.ts';

const { email, password } = ada;

/** Signs out with a scope, of two signed-in people. */
function signOut(scope: 'global' | 'local' | 'others', remaining: readonly [here: boolean, there: boolean]): Flow {
  return {
    env: confirmed,
    async run({ visitor }) {
      const [here, there] = [await visitor(), await visitor()];
      await here.call('signUp', { email, password });
      await there.call('signInWithPassword', { email, password });
      await here.call('signOut', { scope });
      expect([await isSignedIn(here), await isSignedIn(there)], 'stored').toEqual([scope === 'others', true]);
      for (const [index, each] of [here, there].entries()) {
        if (remaining[index]) {
          expect((await each.call('getUser')).user.email).toBe(email);
          await each.call('refreshSession');
          continue;
        }
        expect(await each.refusal('getUser')).toMatchObject({ name: 'AuthSessionMissingError' });
        expect(await each.refusal('refreshSession')).toMatchObject({ name: 'AuthSessionMissingError' });
        expect((await each.events()).at(-1)).toBe('SIGNED_OUT');
        expect(await each.stored()).not.toContain('access_token');
      }
    },
  };
}

export const sessionFlows: Flows = {
  'signOut with the scope global revokes all sessions': signOut('global', [false, false]),
  'signOut with the scope local revokes this session': signOut('local', [false, true]),
  'signOut with the scope others revokes the other sessions': signOut('others', [true, false]),

  'refreshSession replaces both tokens of the session': {
    env: confirmed,
    async run({ visitor }) {
      const here = await visitor();
      const before = (await here.call('signUp', { email, password })).session;
      const after = (await here.call('refreshSession')).session;
      expect([after.refresh_token === before.refresh_token, after.access_token === before.access_token]).toEqual([
        false,
        false,
      ]);
      const [first, second] = [before, after].map(({ access_token }) => decodeJwt(access_token));
      expect(second!.session_id).toBe(first!.session_id);
      expect((await here.call('getSession')).session.refresh_token).toBe(after.refresh_token);
      const unknown = await here.refusal('refreshSession', { refresh_token: 'abcdefghijkl' });
      expect(unknown).toMatchObject({ status: 400, code: 'refresh_token_not_found' });
      expect((await here.call('getUser')).user.email).toBe(email);
    },
  },

  'a session survives that the application is loaded again, and ends with signOut': {
    env: confirmed,
    async run({ visitor }) {
      const here = await visitor();
      const { session } = await here.call('signUp', { email, password });
      await here.reload();
      expect((await here.call('getSession')).session).toMatchObject({ refresh_token: session.refresh_token });
      await expect.poll(here.events).toEqual(['SIGNED_IN', 'INITIAL_SESSION']);
      expect((await here.call('getUser')).user.email).toBe(email);
      await here.call('refreshSession');
      await here.reload();
      expect((await here.call('getUser')).user.email).toBe(email);
      await here.call('signOut');
      await here.reload();
      expect(await isSignedIn(here)).toBe(false);
      await expect.poll(here.events).toEqual(['INITIAL_SESSION']);
    },
  },

  'onAuthStateChange names each change once, in order': {
    env: confirmed,
    async run({ visitor }) {
      const here = await visitor();
      const seen: string[] = [];
      for (const [event, method, ...values] of [
        ['INITIAL_SESSION', 'getSession'],
        ['SIGNED_IN', 'signUp', { email, password }],
        ['TOKEN_REFRESHED', 'refreshSession'],
        ['USER_UPDATED', 'updateUser', { data: { theme: 'dark' } }],
        ['SIGNED_OUT', 'signOut'],
        ['SIGNED_IN', 'signInWithPassword', { email, password }],
        ['USER_UPDATED', 'updateUser', { password: 'quite another phrase' }],
        ['SIGNED_OUT', 'signOut'],
        ['SIGNED_IN', 'signInAnonymously'],
      ] as const) {
        await here.call(method, ...values);
        seen.push(event);
        await expect.poll(here.events).toEqual(seen);
      }
    },
  },
};
