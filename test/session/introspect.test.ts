import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { durationFromMs, timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { IntrospectResponseSchema, SessionKind } from '../../gen/gatehouse/v1/session_pb.ts';
import { SessionMemory } from '../../src/session/introspect.ts';
import type { IntrospectedState } from '../../src/session/session-lookup.ts';
import { resign } from '../support/forge.ts';
import { ada, asService, bob, serviceKey } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const inactive = create(IntrospectResponseSchema, { active: false });

const now = new Date();

/** The state of a session, and the claims of its token. */
function newSession() {
  const ids = { user_id: randomUUID(), id: randomUUID() };
  const state = { ...ids, project_id: 'one', token_epoch: 0 } as unknown as IntrospectedState;
  const token = { tokenEpoch: 0, aal: 1, isRestricted: false, issuedAt: now, expiresAt: now };
  const claims = { userId: ids.user_id, sessionId: ids.id, ...token };
  return { ids, state, claims };
}

test('five thousand states are remembered, and those that were read last', () => {
  const memory = new SessionMemory();
  const all = Array.from({ length: 5001 }, newSession);
  const isKnown = (n: number) => memory.recall('one', all[n]!.claims, 5000, now) !== undefined;
  for (const { state } of all.slice(0, 5000)) memory.remember(state, now);
  memory.remember(all[0]!.state, now);
  expect([0, 1, 4999].map(isKnown)).toEqual([true, true, true]);
  memory.remember(all[5000]!.state, now);
  expect([0, 1, 2, 5000].map(isKnown)).toEqual([true, false, true, true]);
});

test('a state is remembered for the project of its session only', () => {
  const memory = new SessionMemory();
  const { ids, state, claims } = newSession();
  memory.remember(state, now);
  expect(memory.recall('one', claims, 5000, now)).toBe(state);
  expect(memory.recall('another', claims, 5000, now)).toBeUndefined();
  memory.forget('another', ids.id);
  expect(memory.recall('one', claims, 5000, now)).toBe(state);
  expect(memory.recall('one', { ...claims, tokenEpoch: 1 }, 5000, now)).toBeUndefined();
  memory.forget('one', ids.id);
  expect(memory.recall('one', claims, 5000, now)).toBeUndefined();
});

function stale(seconds: number) {
  return { maxStaleness: durationFromMs(seconds * 1000) };
}

describe.each(wires)('over %s', (wire) => {
  test('introspection returns the user of a token and the current state of its session', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    await service.welcome();
    const { tokens, session, user } = await auth.signIn({ ...ada, kind: SessionKind.NATIVE });
    const token = tokens!.accessToken;
    const found = await sessions.introspect({ token }, asService);
    expect(found).toMatchObject({
      active: true,
      userId: user!.id,
      sessionId: session!.id,
      email: ada.email,
      isAnonymous: false,
      aal: AssuranceLevel.AAL1,
      amr: session!.amr,
      kind: SessionKind.NATIVE,
      expireTime: tokens!.expireTime,
      mustChangePassword: false,
    });
    expect(timestampDate(found.issueTime!).getTime() / 1000).toBe(decodeJwt(token).iat);
    await service.database.query(`update users set email = 'new@example.org', must_change_password = true`);
    await service.database.query('update sessions set aal = 2');
    expect(await sessions.introspect({ token }, asService)).toEqual({
      ...found,
      email: 'new@example.org',
      mustChangePassword: true,
    });
    const guest = await service.guest();
    expect(await sessions.introspect({ token: guest.tokens.accessToken }, asService)).toMatchObject({
      active: true,
      isAnonymous: true,
      email: '',
      amr: [{ method: 'anonymous' }],
    });
  });

  test('an invalid token of any kind is reported as inactive, and nothing else is reported', async () => {
    const service = await start({ env: { ACCESS_TOKEN_LIFETIME: '600' } });
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const [header, , signature] = tokens.accessToken.split('.');
    const other = (await service.welcome(bob)).tokens.accessToken.split('.');
    for (const token of [
      'garbage',
      'a.b.c',
      '..',
      tokens.refreshToken,
      serviceKey,
      tokens.accessToken.slice(0, -1),
      ` ${tokens.accessToken}`,
      `Bearer ${tokens.accessToken}`,
      [header, other[1], signature].join('.'),
      `${header}.${other[1]}.`,
    ])
      expect(await sessions.introspect({ token }, asService), token).toEqual(inactive);
    service.pass(600);
    expect(await sessions.introspect({ token: tokens.accessToken }, asService)).toEqual(inactive);
    for (const token of ['', 'x'.repeat(8193)])
      expect(await refusalOf(sessions.introspect({ token }, asService))).toMatchObject({ fields: ['token'] });
  });

  test.each([
    ['was revoked', `update sessions set revoked_at = now()`],
    ['has idled too long', `update sessions set idle_expires_at = now()`],
    ['has come to its end', `update sessions set expires_at = now()`],
    ['has a banned user', `update users set banned_until = now() + interval '1 minute'`],
    ['has a deleted user', `update users set deleted_at = now()`],
    ['is somebody else’s', `update sessions set user_id = (select id from users where email = '${bob.email}')`],
    ['is no more', `delete from sessions`],
  ])('a token is inactive once its session %s', async (_, sql) => {
    const service = await start({ skipChecks: ['orphans'] });
    const { sessions } = service.clients(wire);
    await service.clients('json').admin.createUser(bob, asService);
    const { tokens } = await service.welcome();
    const token = tokens.accessToken;
    expect((await sessions.introspect({ token, ...stale(5) }, asService)).active).toBe(true);
    await service.database.query(sql);
    expect(await sessions.introspect({ token }, asService)).toEqual(inactive);
    expect(await sessions.introspect({ token, ...stale(5) }, asService), 'the end is never forgotten').toEqual(
      inactive,
    );
  });

  test('a token with the session of another user is inactive, also when the session is remembered', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const other = await service.welcome(bob);
    const token = resign(service, tokens.accessToken, { claims: { sub: other.user.id } });
    await sessions.introspect({ token: tokens.accessToken, ...stale(5) }, asService);
    expect(await sessions.introspect({ token, ...stale(5) }, asService)).toEqual(inactive);
    expect(await sessions.introspect({ token }, asService)).toEqual(inactive);
    expect((await refusalOf(auth.getMe({}, bearer({ accessToken: token })))).reason).toBe('SESSION_REVOKED');
  });

  test('only a backend may introspect', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens, as } = await service.welcome();
    const token = tokens.accessToken;
    for (const [options, code, reason] of [
      [{}, Code.Unauthenticated, 'AUTHENTICATION_REQUIRED'],
      [as, Code.PermissionDenied, 'CALLER_NOT_ALLOWED'],
      [bearer({ accessToken: `${serviceKey}x` }), Code.Unauthenticated, 'TOKEN_INVALID'],
    ] as const)
      expect(await refusalOf(sessions.introspect({ token }, options))).toMatchObject({ code, reason });
  });

  test('without max_staleness every replica sees a revocation at once, also when it remembers the session', async () => {
    const service = await start({ replicas: 2 });
    const { tokens } = await service.welcome();
    const token = tokens.accessToken;
    const { sessions } = service.clients(wire, 1);
    for (const age of [5, 0, 5])
      expect((await sessions.introspect({ token, ...stale(age) }, asService)).active).toBe(true);
    await service.clients(wire, 0).sessions.signOut({ refreshToken: tokens.refreshToken });
    expect(await sessions.introspect({ token }, asService)).toEqual(inactive);
    expect(await sessions.introspect({ token, ...stale(0) }, asService)).toEqual(inactive);
  });

  test('a remembered state is never older than max_staleness', async () => {
    const service = await start({ replicas: 2 });
    const { tokens } = await service.welcome();
    const token = tokens.accessToken;
    const { sessions } = service.clients(wire, 1);
    await sessions.introspect({ token, ...stale(5) }, asService);
    await service.clients(wire, 0).sessions.signOut({ refreshToken: tokens.refreshToken });
    expect((await sessions.introspect({ token, ...stale(5) }, asService)).active, 'memory may answer').toBe(true);
    service.pass(3);
    expect((await sessions.introspect({ token, ...stale(4.9) }, asService)).active).toBe(true);
    expect(await sessions.introspect({ token, ...stale(3) }, asService)).toEqual(inactive);
    expect(await sessions.introspect({ token, ...stale(5) }, asService)).toEqual(inactive);
  });

  test('a state that was read for a request without max_staleness replaces a remembered one', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const token = tokens.accessToken;
    await sessions.introspect({ token, ...stale(5) }, asService);
    await service.database.query(`update users set email = 'new@example.org'`);
    expect((await sessions.introspect({ token, ...stale(5) }, asService)).email).toBe(ada.email);
    expect((await sessions.introspect({ token }, asService)).email).toBe('new@example.org');
    expect((await sessions.introspect({ token, ...stale(5) }, asService)).email).toBe('new@example.org');
  });

  test('a remembered state is not used for an expired token, nor after the clock was set back', async () => {
    const service = await start({ env: { ACCESS_TOKEN_LIFETIME: '3' } });
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const token = tokens.accessToken;
    await sessions.introspect({ token, ...stale(5) }, asService);
    service.pass(3);
    expect(await sessions.introspect({ token, ...stale(5) }, asService)).toEqual(inactive);
    const { tokens: next } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    await sessions.introspect({ token: next!.accessToken }, asService);
    await service.database.query('update sessions set revoked_at = now()');
    service.pass(-1);
    expect(await sessions.introspect({ token: next!.accessToken, ...stale(5) }, asService)).toEqual(inactive);
  });

  test('max_staleness is between zero and five seconds', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    for (const age of [5.001, 6, 3600, -1])
      expect(
        await refusalOf(sessions.introspect({ token: tokens.accessToken, ...stale(age) }, asService)),
      ).toMatchObject({
        code: Code.InvalidArgument,
        fields: ['max_staleness'],
      });
  });
});
