import { describe, expect, test } from 'vitest';
import { type Access, type Call, type UserState, userModel } from './model.ts';

const initial = { name: 'ada', password: 'old' };
const first = { session: 'a', version: 0 };
const second = { session: 'b', version: 0 };
const signIns: Call[] = [
  { method: 'SignIn', password: 'old', opens: 'a' },
  { method: 'SignIn', password: 'old', opens: 'b' },
];
const token = (generation: number, version = 0) => ({ session: 'a', version, generation });
const refresh = (generation: number, attempt?: string, version = 0): Call => ({
  method: 'Refresh',
  token: token(generation, version),
  attempt,
});
const change = (keeps: boolean): Call => ({ method: 'ChangePassword', access: first, from: 'old', to: 'new', keeps });
const introspect = (access: Access): Call => ({
  method: 'Introspect',
  access,
});

/** The responses of calls one after another, of a user who has signed in twice. */
function responses(calls: readonly Call[], replays = false): string[] {
  const model = userModel(initial, replays);
  let state: UserState = model.initial;
  const all = [...signIns, ...calls].map((call) => {
    const { response, next } = model.step(state, call);
    state = next;
    return response;
  });
  return all.slice(signIns.length);
}

describe('a refresh token', () => {
  test('returns its successor, once', () => {
    expect(responses([refresh(0), refresh(1), refresh(0)])).toEqual([
      'OK a/0/1',
      'OK a/0/2',
      'REFRESH_TOKEN_ALREADY_USED',
    ]);
  });

  test('returns the same successor within the interval and to its own attempt', () => {
    expect(responses([refresh(0), refresh(0)], true)).toEqual(['OK a/0/1', 'OK a/0/1']);
    expect(responses([refresh(0, 'x'), refresh(0, 'x'), refresh(0, 'y')])).toEqual([
      'OK a/0/1',
      'OK a/0/1',
      'REFRESH_TOKEN_ALREADY_USED',
    ]);
  });

  test('that is used twice revokes its session, and the others go on', () => {
    expect(responses([refresh(0), refresh(0), refresh(1), refresh(0), introspect(first), introspect(second)])).toEqual([
      'OK a/0/1',
      'REFRESH_TOKEN_ALREADY_USED',
      'SESSION_REVOKED',
      'REFRESH_TOKEN_ALREADY_USED',
      'inactive',
      'active',
    ]);
  });
});

describe('a change of the password', () => {
  test('revokes the other sessions, and replaces the tokens of its own', () => {
    const calls = [change(false), introspect(first), introspect({ ...first, version: 1 }), introspect(second)];
    expect(responses(calls)).toEqual(['OK a/1/0', 'inactive', 'active', 'inactive']);
    expect(responses([change(false), refresh(0), refresh(0, undefined, 1)])).toEqual([
      'OK a/1/0',
      'REFRESH_TOKEN_SUPERSEDED',
      'OK a/1/1',
    ]);
  });

  test('keeps the tokens of its own session with KEEP', () => {
    expect(responses([change(true), introspect(first), introspect(second)])).toEqual(['OK', 'active', 'inactive']);
  });

  test('needs the current password', () => {
    expect(responses([change(true), change(true)])).toEqual(['OK', 'CURRENT_PASSWORD_INCORRECT']);
  });
});

const endings: readonly (readonly [Call, string, string])[] = [
  [{ method: 'SignOut', access: first, scope: 'LOCAL' }, 'inactive', 'active'],
  [{ method: 'SignOut', access: first, scope: 'OTHERS' }, 'active', 'inactive'],
  [{ method: 'SignOut', access: first, scope: 'GLOBAL' }, 'inactive', 'inactive'],
  [{ method: 'SignOutByToken', token: token(0) }, 'inactive', 'active'],
  [{ method: 'SignOutByToken', token: token(0, 1) }, 'active', 'active'],
  [{ method: 'RevokeSession', access: first, target: 'b' }, 'active', 'inactive'],
  [{ method: 'BanUser' }, 'inactive', 'inactive'],
  [{ method: 'RevokeUserSessions' }, 'inactive', 'inactive'],
  [{ method: 'RevokeEverybody' }, 'inactive', 'inactive'],
  [{ method: 'DeleteMe', access: first }, 'inactive', 'inactive'],
  [{ method: 'UnbanUser' }, 'active', 'active'],
  [{ method: 'UpdateMe', access: first, name: 'grace' }, 'active', 'active'],
];

test.each(endings)('after %o the first session is %s and the second %s', (call, one, other) => {
  expect(responses([call, introspect(first), introspect(second)]).slice(1)).toEqual([one, other]);
});

test('a ban refuses the right password, and the sessions from before it stay revoked', () => {
  const calls: Call[] = [{ method: 'BanUser' }, signIns[0]!, { method: 'UnbanUser' }, introspect(second), signIns[0]!];
  expect(responses(calls)).toEqual(['OK', 'USER_BANNED', 'OK', 'inactive', 'OK']);
});

test('a deleted user is not found, and cannot sign in', () => {
  const calls: Call[] = [{ method: 'DeleteMe', access: first }, signIns[0]!, { method: 'GetUser' }];
  expect(responses(calls)).toEqual(['OK', 'INVALID_CREDENTIALS', 'USER_NOT_FOUND']);
});

test('reads return the name and the live sessions', () => {
  const access = first;
  const calls: Call[] = [
    { method: 'UpdateMe', access, name: 'grace' },
    { method: 'GetMe', access },
    { method: 'GetUser' },
    { method: 'ListSessions', access },
    { method: 'RevokeSession', access, target: 'b' },
    { method: 'ListSessions', access },
    { method: 'GetSession', access, target: 'b' },
  ];
  expect(responses(calls)).toEqual([
    'OK grace',
    'OK grace',
    'OK grace free',
    'OK a,b',
    'OK',
    'OK a',
    'SESSION_NOT_FOUND',
  ]);
});
