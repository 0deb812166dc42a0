// @serializable
import { randomBytes } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { mintRefreshToken, type RefreshToken, readRefreshToken } from '../../src/session/refresh-token.ts';
import { ada, asService, bob, serviceKey } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const otherProjectId = '00000000-0000-7000-8000-000000000002';

/** Mints tokens as an attacker with the server's keys could. */
function forger({ config }: TestService) {
  const keys = new MasterKeys(config.masterKeys);
  return {
    read: (text: string) => readRefreshToken(keys, defaultProjectId, text)!,
    mint: (token: RefreshToken, projectId = defaultProjectId) => mintRefreshToken(keys, projectId, token),
  };
}

/** The same text with the character at `index` replaced by its neighbour in the alphabet of base64url. */
function nudge(text: string, index: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const at = index < 0 ? text.length + index : index;
  const neighbour = alphabet[(alphabet.indexOf(text[at]!) ^ 1) % alphabet.length]!;
  return text.slice(0, at) + neighbour + text.slice(at + 1);
}

describe.each(wires)('over %s', (wire) => {
  test('anything but a refresh token of this installation, byte for byte, is REFRESH_TOKEN_INVALID and changes nothing', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens, as } = await service.welcome();
    await service.signIn();
    const { refreshToken: good, accessToken } = tokens;
    const { nextPageToken } = await sessions.listSessions({ pageSize: 1 }, as);
    const { read, mint } = forger(service);
    const foreignKeys = new MasterKeys([{ id: 'test', key: randomBytes(32) }]);
    const bad: Record<string, string> = {
      'an access token': accessToken,
      'a service key': serviceKey,
      'a page token': nextPageToken,
      prose: 'refresh me',
      'a bare prefix': 'ghr_',
      'another version': nudge(good, 4),
      'another key id': nudge(good, 8),
      'another session': nudge(good, 20),
      'another generation': nudge(good, 36),
      'another secret': nudge(good, 45),
      'another MAC': nudge(good, -5),
      'other unused bits': nudge(good, -1),
      'a truncated one': good.slice(0, -1),
      'a longer one': `${good}A`,
      'one with padding': `${good}==`,
      'one after white space': ` ${good}`,
      'one before white space': `${good} `,
      'another letter case': good.toLowerCase(),
      'the prefix in capitals': good.replace('ghr_', 'GHR_'),
      'no prefix': good.slice(4),
      'one twice': good + good,
      'another project’s': mint(read(good), otherProjectId),
      'one made with another key': mintRefreshToken(foreignKeys, defaultProjectId, read(good)),
      'one of a session that never existed': mint({ ...read(good), sessionId: '00000000-0000-7000-8000-000000000000' }),
      'one that names another user': mint({ ...read(good), userId: '00000000-0000-7000-8000-000000000000' }),
      'a long one': `ghr_${'A'.repeat(8000)}`,
      'one from the future': mint({ ...read(good), generation: 1 }),
      'one from far in the future': mint({ ...read(good), generation: 2 ** 31 - 1 }),
    };
    for (const [what, refreshToken] of Object.entries(bad))
      expect(await refusalWithoutTrace(service.database, () => sessions.refresh({ refreshToken })), what).toEqual({
        code: Code.Unauthenticated,
        reason: 'REFRESH_TOKEN_INVALID',
        message: 'the refresh token is not valid',
        metadata: {},
        fields: [],
        retryAfter: undefined,
      });
    expect(
      await service.database.query('select 1 from audit_events where action = $1', ['auth.refresh_reuse']),
    ).toEqual([]);
    await sessions.refresh({ refreshToken: good });
  });

  test('an empty or oversized refresh token is an invalid argument', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    for (const refreshToken of ['', 'x'.repeat(8193), 'é'.repeat(4097), 'ghr_\u0000'])
      expect(await refusalWithoutTrace(service.database, () => sessions.refresh({ refreshToken }))).toMatchObject({
        code: Code.InvalidArgument,
        fields: ['refresh_token'],
      });
  });

  test("no token with another user's id refreshes, revokes or signs out a session", async () => {
    const service = await start();
    const { sessions, auth } = service.clients(wire);
    const { user: bobs } = await service.welcome(bob);
    const { tokens, as } = await service.welcome(ada);
    const { tokens: newest } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    service.pass(11);
    const { read, mint } = forger(service);
    const inBobsName = (text: string) => mint({ ...read(text), userId: bobs.id });
    // The older of the two would be reuse.
    for (const text of [newest!.refreshToken, tokens.refreshToken]) {
      const call = () => sessions.refresh({ refreshToken: inBobsName(text) });
      expect((await refusalWithoutTrace(service.database, call)).reason).toBe('REFRESH_TOKEN_INVALID');
      await sessions.signOut({ refreshToken: inBobsName(text) });
    }
    await auth.getMe({}, as);
    await sessions.refresh({ refreshToken: newest!.refreshToken });
  });

  test('a refresh token is not a bearer token, and an access token of a live session is not a refresh token', async () => {
    const service = await start();
    const { auth, sessions, admin } = service.clients(wire);
    const { tokens, user } = await service.welcome();
    const asRefresh = bearer({ accessToken: tokens.refreshToken });
    expect((await refusalOf(auth.getMe({}, asRefresh))).reason).toBe('TOKEN_INVALID');
    expect((await refusalOf(admin.getUser({ userId: user.id }, asRefresh))).reason).toBe('TOKEN_INVALID');
    const { active } = await sessions.introspect({ token: tokens.refreshToken }, asService);
    expect(active).toBe(false);
  });

  test('a token whose secret was replaced is superseded, whatever its generation, and nothing is revoked', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens, session } = await service.welcome();
    const second = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
    const third = (await sessions.refresh({ refreshToken: second.refreshToken })).tokens!;
    const { read, mint } = forger(service);
    const { userId } = read(third.refreshToken);
    const [row] = await service.database.query<{ secret_hash: Buffer }>('select secret_hash from sessions');
    await service.database.query('update sessions set secret_hash = $1', [randomBytes(32)]);
    service.pass(11);
    for (const { refreshToken } of [tokens, second, third])
      expect(await refusalWithoutTrace(service.database, () => sessions.refresh({ refreshToken }))).toMatchObject({
        code: Code.Unauthenticated,
        reason: 'REFRESH_TOKEN_SUPERSEDED',
      });
    await service.database.query('update sessions set secret_hash = $1', [row!.secret_hash]);
    await sessions.refresh({ refreshToken: third.refreshToken });

    // The keys and the row together do not yield a token either, nor revoke the session.
    for (const generation of [0, 2, 3]) {
      const forged = mint({ userId, sessionId: session.id, generation, secret: row!.secret_hash.subarray(0, 16) });
      const refusal = await refusalWithoutTrace(service.database, () => sessions.refresh({ refreshToken: forged }));
      expect(refusal.reason).toBe('REFRESH_TOKEN_SUPERSEDED');
    }
    expect(read(third.refreshToken).generation).toBe(2);
  });

  test.each([
    ['was revoked', `update sessions set revoked_at = now(), revoke_reason = 'revoked'`, 'SESSION_REVOKED'],
    ['has idled too long', `update sessions set idle_expires_at = now()`, 'SESSION_EXPIRED'],
    ['has come to its end', `update sessions set expires_at = now()`, 'SESSION_EXPIRED'],
    ['belongs to a banned user', `update users set banned_until = now() + interval '1 minute'`, 'SESSION_REVOKED'],
    ['belongs to a deleted user', `update users set deleted_at = now()`, 'SESSION_REVOKED'],
    ['belongs to another project', `update sessions set project_id = '${otherProjectId}'`, 'REFRESH_TOKEN_INVALID'],
  ])('no token refreshes a session that %s, and none of them revokes it', async (_, sql, reason) => {
    const service = await start({ skipChecks: ['orphans'] });
    const { auth, sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const { refreshToken } = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
    await service.database.query(`insert into projects values ('${otherProjectId}', 'other', now())`);
    await service.database.query(sql);
    const current = await refusalWithoutTrace(service.database, () => sessions.refresh({ refreshToken }));
    expect(current).toMatchObject({ code: Code.Unauthenticated, reason });
    const replayed = () => sessions.refresh({ refreshToken: tokens.refreshToken });
    expect(await refusalWithoutTrace(service.database, replayed)).toEqual(current);
    if (reason !== 'REFRESH_TOKEN_INVALID')
      expect((await refusalOf(auth.getMe({}, bearer(tokens)))).reason).toBe(reason);
    expect(await service.database.query(`select 1 from audit_events where action = 'auth.refresh_reuse'`)).toEqual([]);
  });
});
