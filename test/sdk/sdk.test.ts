import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createContextKey, createContextValues } from '@connectrpc/connect';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import type { Reason as ReasonOfService } from '../../src/errors.ts';
import * as surface from '../../src/sdk/surface.ts';
import {
  AssuranceLevel,
  Code,
  ConnectError,
  FactorType,
  fieldErrors,
  type Interceptor,
  metadataOf,
  type Reason,
  reasonOf,
  reasons,
  retryAfter,
  type Session,
  SessionKind,
  type SystemRole,
  stepUpOf,
  type User,
  withBearer,
} from '../../src/sdk/surface.ts';
import { useApp } from '../support/authenticator.ts';
import { ada, serviceKey } from '../support/people.ts';
import { entries, failureOf, open } from '../support/sdk-entries.ts';
import { start } from '../support/start.ts';

describe.each(entries)('through gatehouse/%s', (entry) => {
  test('a user signs in, is identified by the access token, and signs out', async () => {
    const service = await start();
    const { auth, sessions, admin } = open(entry, service.replicas[0]!);
    const created = await admin.createUser(ada, withBearer(serviceKey));
    const { user, tokens, session } = await auth.signIn({ ...ada, kind: SessionKind.NATIVE });
    expectTypeOf(user).toEqualTypeOf<User | undefined>();
    expectTypeOf(session).toEqualTypeOf<Session | undefined>();
    expect(user!.id).toBe(created.user!.id);
    expect(session).toMatchObject({ kind: SessionKind.NATIVE, aal: AssuranceLevel.AAL1 });
    const asAda = withBearer(tokens!.accessToken);
    expect((await auth.getMe({}, asAda)).user!.email).toBe(ada.email);
    const seen = await sessions.introspect({ token: tokens!.accessToken }, withBearer(serviceKey));
    expect(seen).toMatchObject({ active: true, userId: user!.id, sessionId: session!.id });
    const renewed = await sessions.refresh({ refreshToken: tokens!.refreshToken });
    await sessions.signOut({ refreshToken: renewed.tokens!.refreshToken });
    expect(reasonOf((await failureOf(auth.getMe({}, asAda))).error)).toBe('SESSION_REVOKED');
  });

  test('a refusal has a code, a reason and a sentence, and only details that apply', async () => {
    const service = await start();
    const { auth } = open(entry, service.replicas[0]!);
    const { error } = await failureOf(auth.signIn({ email: ada.email, password: 'wrong' }));
    expect(error).toMatchObject({ code: Code.Unauthenticated, rawMessage: 'Incorrect email or password' });
    expect(reasonOf(error)).toBe('INVALID_CREDENTIALS');
    expect(fieldErrors(error)).toEqual({});
    expect(metadataOf(error)).toEqual({});
    expect(retryAfter(error)).toBeUndefined();
    expect(stepUpOf(error)).toBeUndefined();
  });

  test('invalid fields are named, each with its violations', async () => {
    const service = await start();
    const { auth } = open(entry, service.replicas[0]!);
    const { error } = await failureOf(auth.register({ email: 'nobody', password: '', name: 'N'.repeat(201) }));
    expect(reasonOf(error)).toBe('INVALID_ARGUMENT');
    expect(fieldErrors(error)).toEqual({
      email: ['Must be an e-mail address.'],
      name: ['Must be at most 200 characters long.'],
      password: ['Must not be empty.'],
    });
  });

  test('wrong fields have their TypeScript names, and sentences that no pattern and no list of numbers needs', async () => {
    const service = await start();
    const { auth, admin, sessions } = open(entry, service.replicas[0]!);
    const { as } = await service.welcome();
    const errorsOf = async (call: Promise<unknown>) => fieldErrors((await failureOf(call)).error);
    const asService = withBearer(serviceKey);
    expect(await errorsOf(sessions.refresh({ refreshToken: 'x'.repeat(9000) }))).toEqual({
      refreshToken: ['Must be at most 8192 bytes long.'],
    });
    expect(await errorsOf(auth.signIn({ ...ada, kind: 5 }))).toEqual({
      kind: ['Must be one of SESSION_KIND_WEB, SESSION_KIND_NATIVE.'],
    });
    expect(await errorsOf(auth.updateMe({ phone: 'call me', timezone: 'no/where!' }, as))).toEqual({
      phone: ['Must have no characters but digits, spaces and + ( ) . / -.'],
      timezone: ['Must have no characters but letters, digits and _ + / -.'],
    });
    expect(await errorsOf(admin.listUsers({ pageSize: -1 }, asService))).toEqual({
      pageSize: ['Must be at least 0.'],
    });
    expect(await errorsOf(admin.createInviteCode({ code: '!' }, asService))).toEqual({
      code: ['Must be 6 to 64 characters of letters, digits and -.'],
    });
    expect(await errorsOf(admin.createInviteCode({ trialDurationDays: 1 }, asService))).toEqual({
      trialDurationDays: ['Only together with assignedPlan.'],
    });
    expect(await errorsOf(admin.updateUser({ userId: 'x', role: 9 as SystemRole }, asService))).toEqual({
      userId: ['Must be a UUID.'],
      role: ['Must be one of SYSTEM_ROLE_ENGINEER, SYSTEM_ROLE_OPERATOR.'],
    });
  });

  test('a call over the rate limit has the seconds to wait', async () => {
    const service = await start({ env: { LIMITS: 'AuthService.SignIn:success=1' } });
    const { auth } = open(entry, service.replicas[0]!);
    await service.welcome();
    const { error } = await failureOf(auth.signIn(ada));
    expect(reasonOf(error)).toBe('OVER_REQUEST_RATE_LIMIT');
    expect(retryAfter(error)).toBeGreaterThan(0);
    expect(retryAfter(error)).toBeLessThanOrEqual(60);
  });

  test('a refusal that asks for a factor has the levels, the maximum age and the usable factors', async () => {
    const service = await start();
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const { factorId } = await useApp(service.clients('json'), as, service.now());
    const again = withBearer((await service.signIn()).tokens.accessToken);
    const { devices } = open(entry, service.replicas[0]!);
    const { error } = await failureOf(devices.createApiKey({ name: 'a program' }, again));
    const factors = [{ id: factorId, type: FactorType.TOTP, friendlyName: 'phone' }];
    const levels = { required: AssuranceLevel.AAL2, current: AssuranceLevel.AAL1 };
    expect(stepUpOf(error)).toMatchObject({ ...levels, maxAge: 600, factors });
    expect(metadataOf(error)).toEqual({ required_aal: 'aal2', current_aal: 'aal1' });
  });

  test('a refusal that asks for a new authentication has the maximum age', async () => {
    const service = await start();
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const { auth } = open(entry, service.replicas[0]!);
    service.pass(601);
    const { error } = await failureOf(auth.deleteMe({}, as));
    expect(reasonOf(error)).toBe('REAUTHENTICATION_REQUIRED');
    const levels = { required: AssuranceLevel.UNSPECIFIED, current: AssuranceLevel.AAL1 };
    expect(stepUpOf(error)).toEqual({ ...levels, maxAge: 600, factors: [] });
  });

  test("a call ends with its deadline: its own, else the client's", async () => {
    const service = await start({ inner: [stall('GetMe', 5000)] });
    const { as } = await service.guest();
    const { auth } = open(entry, service.replicas[0]!, { timeoutMs: 2500 });
    const [own, clients] = await Promise.all([
      failureOf(auth.getMe({}, { ...as, timeoutMs: 200 })),
      failureOf(auth.getMe({}, as)),
    ]);
    expect([own, clients].map(({ error }) => reasonOf(error))).toEqual(Array(2).fill('DEADLINE_EXCEEDED'));
    expect(own.after).toBeGreaterThan(190);
    expect(own.after).toBeLessThan(2400);
    expect(clients.after).toBeGreaterThan(2400);
    expect(clients.after).toBeLessThan(4900);
    expect((await auth.getMe({}, { ...as, timeoutMs: 0 })).user!.isAnonymous, 'none when it says so').toBe(true);
  });

  test('an aborted call ends at once', async () => {
    const service = await start({ inner: [stall('GetMe', 2500)] });
    const { as } = await service.guest();
    const { auth } = open(entry, service.replicas[0]!);
    const { error, after } = await failureOf(auth.getMe({}, { ...as, signal: AbortSignal.timeout(100) }));
    expect(reasonOf(error)).toBe('CANCELED');
    expect(after).toBeLessThan(2000);
    const late = await failureOf(auth.getMe({}, { ...as, signal: AbortSignal.abort() }));
    expect(reasonOf(late.error), 'also when it was aborted before').toBe('CANCELED');
  });

  test('interceptors see every call, the first one outermost', async () => {
    const service = await start();
    const seen: string[] = [];
    const kName = createContextKey('nobody');
    const watch = (name: string): Interceptor => {
      return (next) => async (req) => {
        seen.push(`${name} ${req.method.name} for ${req.contextValues.get(kName)}`);
        const res = await next(req);
        seen.push(`${name} answered`);
        return res;
      };
    };
    const { auth } = open(entry, service.replicas[0]!, { interceptors: [watch('outer'), watch('inner')] });
    await auth.signUpAnonymous({}, { contextValues: createContextValues().set(kName, 'ada') });
    expect(seen).toEqual([
      'outer SignUpAnonymous for ada',
      'inner SignUpAnonymous for ada',
      'inner answered',
      'outer answered',
    ]);
  });
});

describe('reasons', () => {
  test('are all reasons of the service, in its order', () => {
    const table = readFileSync('src/errors.ts', 'utf8').match(/^const refusals = \{$.*?^\}/ms)![0];
    const names = [...table.matchAll(/^ {2}([A-Z_]+): \[\s*Code\./gm)].map((each) => each[1]);
    expect(reasons).toEqual(names);
    expectTypeOf<Reason>().toEqualTypeOf<ReasonOfService>();
  });

  test('are undefined for other errors', () => {
    expect(reasonOf(new Error('no'))).toBeUndefined();
    expect(reasonOf(undefined)).toBeUndefined();
    expect(reasonOf(new ConnectError('no', Code.Unavailable))).toBeUndefined();
    expect(reasonOf(errorWith('gatehouse', 'SESSION_REVOKED'))).toBe('SESSION_REVOKED');
    expect(reasonOf(errorWith('gatehouse', 'NOT_INVENTED_YET')), 'unknown here').toBeUndefined();
    expect(reasonOf(errorWith('example.org', 'SESSION_REVOKED')), "somebody else's").toBeUndefined();
  });
});

test('withBearer adds to other options, and does not change them', () => {
  const options = { timeoutMs: 50, headers: { 'x-request-id': 'request-of-ada' } };
  const { timeoutMs, headers } = withBearer('secret', options);
  expect(timeoutMs).toBe(50);
  expect(Object.fromEntries(new Headers(headers))).toEqual({
    authorization: 'Bearer secret',
    'x-request-id': 'request-of-ada',
  });
  expect(options.headers).toEqual({ 'x-request-id': 'request-of-ada' });
});

function stall(method: string, milliseconds: number): Interceptor {
  return (next) => async (req) => {
    if (req.method.name === method) await sleep(milliseconds);
    return next(req);
  };
}

function errorWith(domain: string, reason: string): ConnectError {
  const detail = { desc: ErrorInfoSchema, value: { domain, reason } };
  return new ConnectError('no', Code.Unauthenticated, undefined, [detail]);
}

// Enums and message types, which a caller can neither name nor create otherwise. The policies are not for callers.
test.each(globSync('gen/gatehouse/v1/*_pb.ts').filter((each) => !each.endsWith('/policy_pb.ts')))(
  'a program can name everything that %s defines',
  async (file) => {
    const names = Object.keys(await import(path.resolve(file)));
    expect(names.filter((each) => !(each in surface))).toEqual([]);
  },
);
