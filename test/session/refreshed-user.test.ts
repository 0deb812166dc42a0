// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { adaAtAcme, startWithProvider } from '../auth/oauth/oauth.ts';
import { useApp } from '../support/authenticator.ts';
import { asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, type Wire, wires } from '../support/start.ts';

/** What GetMe returns besides the account. */
const everything = { appMetadata: true, identities: true, factors: true, omitAccount: true };

/** A service, and the statements about refreshes that it sends. */
async function started() {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url });
  const sessions = (wire: Wire) => service.clients(wire).sessions;
  const sent = () =>
    proxy.statements.map(({ name }) => name).filter((name) => /^session_(rotate|refreshed)/.test(name));
  return { service, sessions, guest: () => service.guest(), sent, proxy };
}

describe.each(wires)('over %s', (wire) => {
  test('a refresh returns the user, their identities and their factors as GetMe does', async () => {
    const { service, provider } = await startWithProvider();
    const clients = service.clients(wire);
    const idToken = await provider.idToken({ ...adaAtAcme });
    const { tokens, user } = await clients.auth.signInWithIdToken({ provider: 'acme', idToken });
    const metadata = { userId: user!.id, appMetadata: { plan: 'pro' }, userMetadata: { theme: 'dark' } };
    await clients.admin.updateUser(metadata, asService);
    const raised = await useApp(clients, bearer(tokens!), service.now());
    await clients.mfa.generateRecoveryCodes({}, bearer(raised.tokens!));
    const { refreshToken } = raised.tokens!;
    const refreshed = await clients.sessions.refresh({ refreshToken, includeUser: true });
    const me = await clients.auth.getMe(everything, bearer(refreshed.tokens!));
    expect({ user: refreshed.user, factors: refreshed.factors }).toEqual({ user: me.user, factors: me.factors });
    expect(refreshed.user).toMatchObject({
      ...{ id: user!.id, email: adaAtAcme.email, appMetadata: { plan: 'pro' }, userMetadata: { theme: 'dark' } },
      identities: [{ provider: 'acme' }],
    });
    expect(refreshed.factors.map(({ remainingCodes }) => remainingCodes)).toEqual([0, 10]);
  });

  test('a guest is returned like any user, without identities and factors', async () => {
    const { sessions, guest } = await started();
    const { tokens, user } = await guest();
    const refreshed = await sessions(wire).refresh({ refreshToken: tokens.refreshToken, includeUser: true });
    expect(refreshed.user).toMatchObject({ id: user.id, isAnonymous: true, email: '', providers: [], identities: [] });
    expect(refreshed.factors).toEqual([]);
  });

  test('a refresh that does not ask for the user returns none, and does not read one', async () => {
    const { sessions, guest, sent } = await started();
    const { refreshToken } = (await guest()).tokens;
    const refreshed = await sessions(wire).refresh({ refreshToken });
    expect([refreshed.user, refreshed.factors]).toEqual([undefined, []]);
    expect(sent()).toEqual(['session_rotate']);
  });

  test('a lost response is repeated with the user as they are by then', async () => {
    const { service, sessions, sent } = await started();
    const { tokens, as, user } = await service.welcome();
    const call = { refreshToken: tokens.refreshToken, includeUser: true };
    const first = await sessions(wire).refresh(call);
    await service.clients(wire).auth.updateMe({ name: 'Countess' }, as);
    const again = await sessions(wire).refresh(call);
    expect(again.tokens!.refreshToken).toBe(first.tokens!.refreshToken);
    expect([first.user, again.user]).toMatchObject([
      { id: user.id, name: user.name },
      { id: user.id, name: 'Countess' },
    ]);
    expect(sent()).toEqual(['session_rotate_with_user', 'session_rotate_with_user', 'session_refreshed_with_user']);
  });

  test('a token that was used before is refused with the user too, and revokes its session', async () => {
    const { service, sessions, guest } = await started();
    const { tokens, session } = await guest();
    const call = { refreshToken: tokens.refreshToken, includeUser: true };
    await sessions(wire).refresh(call);
    service.pass(11);
    expect((await refusalOf(sessions(wire).refresh(call))).reason).toBe('REFRESH_TOKEN_ALREADY_USED');
    const [row] = await service.database.query('select revoke_reason from sessions where id = $1', [session.id]);
    expect(row).toEqual({ revoke_reason: 'refresh_reuse' });
  });

  test('a banned user is not returned', async () => {
    const { service, sessions, guest } = await started();
    const { tokens, user } = await guest();
    await service.clients(wire).admin.banUser({ userId: user.id }, asService);
    const call = { refreshToken: tokens.refreshToken, includeUser: true };
    expect((await refusalOf(sessions(wire).refresh(call))).reason).toBe('SESSION_REVOKED');
  });

  test('sessions that refresh at once share statements, and each gets its own user', async () => {
    const { sessions, guest, sent, proxy } = await started();
    const guests = [];
    for (let i = 0; i < 12; i++) guests.push(await guest());
    const [occupant, ...others] = guests.map(({ tokens }) => () => {
      return sessions(wire).refresh({ refreshToken: tokens.refreshToken, includeUser: true });
    });
    const reached = proxy.hold('before', 'session_rotate_with_user');
    const held = occupant!();
    const { letGo } = await reached;
    const answers = await Promise.all(others.map((refresh) => refresh()));
    letGo();
    answers.unshift(await held);
    expect(answers.map(({ user }) => user!.id)).toEqual(guests.map(({ user }) => user.id));
    const shared = sent().filter((name) => name === 'session_rotate_all_with_user').length;
    expect(shared).toBeGreaterThan(0);
    expect(shared).toBeLessThan(8);
  });
});

test('of refreshes of one session, with and without the user, one uses the token and the others return its successor', async () => {
  const { sessions, guest, proxy, sent } = await started();
  const { tokens } = await guest();
  const refresh = (includeUser: boolean) =>
    sessions('json').refresh({ refreshToken: tokens.refreshToken, includeUser });
  const reached = proxy.hold('before', 'session_rotate');
  const first = refresh(false);
  const { letGo } = await reached;
  const second = refresh(true);
  await sleep(200);
  expect(sent(), 'the second call waits in memory').toEqual(['session_rotate']);
  letGo();
  const successors = (await Promise.all([first, second])).map((each) => each.tokens!.refreshToken);
  expect(new Set(successors).size).toBe(1);
  expect(sent()).toEqual(['session_rotate', 'session_rotate_with_user', 'session_refreshed_with_user']);
});
