import { execFileSync } from 'node:child_process';
import type { Interceptor } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { describeBug } from '../../src/rpc/bug.ts';
import { createDatabase } from '../support/database.ts';
import { ada, asService, bob, serviceKey, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { send } from '../support/raw-http.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

type Line = Record<string, unknown>;

describe.each(wires)('over %s', (wire) => {
  test('each call writes one line with method, caller, address, status and duration', async () => {
    const service = await start();
    const { as, user, session } = await service.welcome(ada);
    const { auth, sessions, admin } = service.clients(wire);
    const since = service.ledger.lines.length;
    const named = (id: string, options = {}) => ({
      headers: { 'x-request-id': id, ...(options as typeof as).headers },
    });
    await auth.getMe({}, named('call-number-1', as));
    await admin.getUser({ userId: user.id }, named('call-number-2', asService));
    await refusalOf(auth.signIn({ email: ada.email, password: 'wrong' }, named('call-number-3')));
    await refusalOf(sessions.getSession({ sessionId: 'x' }, named('call-number-4', as)));
    await refusalOf(auth.getMe({}, named('call-number-5')));
    await auth.signUpAnonymous({}, named('call-number-6'));
    const all = { level: 30, time: expect.anything(), ms: expect.any(Number), address: '127.0.0.1' };
    const ours = { userId: user.id, sessionId: session.id };
    const expected = [
      { requestId: 'call-number-1', method: 'gatehouse.v1.AuthService/GetMe', code: 'OK', ...ours },
      { requestId: 'call-number-2', method: 'gatehouse.v1.AdminService/GetUser', code: 'OK', service: 'backend' },
      {
        requestId: 'call-number-3',
        method: 'gatehouse.v1.AuthService/SignIn',
        code: 'UNAUTHENTICATED',
        reason: 'INVALID_CREDENTIALS',
      },
      {
        requestId: 'call-number-4',
        method: 'gatehouse.v1.SessionService/GetSession',
        code: 'INVALID_ARGUMENT',
        reason: 'INVALID_ARGUMENT',
        ...ours,
      },
      {
        requestId: 'call-number-5',
        method: 'gatehouse.v1.AuthService/GetMe',
        code: 'UNAUTHENTICATED',
        reason: 'AUTHENTICATION_REQUIRED',
      },
      { requestId: 'call-number-6', method: 'gatehouse.v1.AuthService/SignUpAnonymous', code: 'OK' },
    ];
    const lines = linesOf(service).slice(since);
    const { pid: _, hostname: __, ...first } = lines[0]!;
    expect(first).toEqual({ ...all, ...expected[0] });
    expect(lines).toMatchObject(expected);
    expect(lines).toHaveLength(expected.length);
    for (const { ms } of lines) expect(ms).toBeLessThan(5000);
  });
});

test('no line, down to trace, contains a credential or an e-mail address, whatever was refused', async () => {
  const service = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
  const { httpPort } = service.replicas[0]!;
  const secrets = new Set([ada.email, bob.email, ada.password, bob.password, 'Ada', serviceKey, 'wrong-kestrel']);
  const { tokens, as } = await service.welcome(ada);
  for (const wire of wires) {
    const { auth, sessions, admin } = service.clients(wire);
    const { tokens: fresh } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    for (const each of [tokens, fresh!]) for (const token of [each.accessToken, each.refreshToken]) secrets.add(token);
    await refusalOf(auth.register(ada));
    await refusalOf(auth.signIn({ email: bob.email, password: 'wrong-kestrel' }));
    await refusalOf(sessions.refresh({ refreshToken: `${tokens.refreshToken}x` }));
    await refusalOf(auth.getMe({}, { headers: { authorization: `Basic ${tokens.accessToken}` } }));
    await refusalOf(auth.signIn({ email: `${ada.email}\u0000`, password: ada.password }));
    await sessions.introspect({ token: tokens.accessToken }, asService);
    await refusalOf(admin.createUser(ada, asService));
    await auth.getMe({}, as);
  }
  await send(httpPort, { path: '/gatehouse.v1.AuthService/SignIn', body: `{"email":"${ada.email}"` });
  await send(httpPort, { path: `/nothing?token=${tokens.accessToken}` });
  expectNone(service.ledger.lines.join(''), secrets);
});

test('when the database fails, the log has the call and the SQLSTATE, but no values', async () => {
  const service = await start();
  const { httpPort } = service.replicas[0]!;
  await service.welcome(ada);
  const since = service.ledger.lines.length;
  await service.database.query('alter table users rename column email_key to mail_key');
  const requests = { SignIn: { email: ada.email, password: ada.password }, Register: bob };
  for (const [method, request] of Object.entries(requests)) {
    const headers = { 'x-request-id': `request-of-${method}` };
    const path = `/gatehouse.v1.AuthService/${method}`;
    const answer = await send(httpPort, { path, headers, body: JSON.stringify(request) });
    expect(answer).toMatchObject({ status: 500, reason: 'INTERNAL', json: { message: 'internal error' } });
  }
  await service.database.query('alter table users rename column mail_key to email_key');
  const expected = Object.keys(requests).flatMap((method) => [
    { requestId: `request-of-${method}`, level: 50, bug: { code: '42703', frames: expect.any(Array) } },
    {
      requestId: `request-of-${method}`,
      method: `gatehouse.v1.AuthService/${method}`,
      code: 'INTERNAL',
      reason: 'INTERNAL',
    },
  ]);
  expect(linesOf(service).slice(since)).toMatchObject(expected);
  expectNone(service.ledger.lines.join(''), [
    ada.email,
    bob.email,
    ada.password,
    bob.password,
    '$argon2',
    'select ',
    'insert into',
  ]);
});

test('a bug in a method is logged with its message and its place, and no response reveals it', async () => {
  const failing: Interceptor = (next) => (req) => {
    if (req.method.name === 'GetMe') throw new TypeError('this is a bug');
    return next(req);
  };
  const service = await start({ inner: [failing] });
  const { as } = await service.welcome();
  const { grpcPort, httpPort } = service.replicas[0]!;
  const path = '/gatehouse.v1.AuthService/GetMe';
  const answer = await send(httpPort, { path, body: '{}', headers: { ...as.headers } });
  expect(answer).toMatchObject({ status: 500, code: 'internal', reason: 'INTERNAL' });
  expect(answer.text).not.toContain('this is');
  const grpc = new RawGrpc(grpcPort);
  expect(await grpc.call(path, frame(), { ...as.headers })).toMatchObject({
    code: 13,
    reason: 'INTERNAL',
    message: 'internal error',
  });
  grpc.close();
  const bugs = linesOf(service).filter(({ msg }) => msg === 'a bug');
  expect(bugs).toMatchObject(Array(2).fill({ level: 50, bug: { name: 'TypeError', message: 'this is a bug' } }));
});

test('the description of a failed query contains no text of it, even in a chain of causes', () => {
  const values = `insert into users values ('${ada.email}', '$argon2id$secret')\n    at ${ada.email} (${ada.password}:1:1)`;
  const failed = Object.assign(new Error(values), {
    name: 'error',
    code: '23505',
    constraint: 'users_email_key',
    table: 'users',
    detail: `Key (email)=(${ada.email}) exists`,
  });
  const wrapped = Object.assign(new Error(values, { cause: failed }), { name: 'UniqueConstraintViolationException' });
  const outermost = new Error('register failed', { cause: wrapped });
  const described = describeBug(outermost);
  expect(described).toMatchObject({
    name: 'Error',
    message: 'register failed',
    cause: {
      name: 'UniqueConstraintViolationException',
      cause: { code: '23505', constraint: 'users_email_key', table: 'users' },
    },
  });
  expectNone(JSON.stringify(described), [ada.email, ada.password, '$argon2', 'insert into']);
  for (const thrown of [ada.email, { email: ada.email }, null, undefined, [ada.email]])
    expect(describeBug(thrown)).toEqual({ type: typeof thrown });
});

test('the log redacts properties with the name of a secret', () => {
  const script = `
    const { openLog } = await import('${process.cwd()}/src/telemetry/log.ts');
    const secrets = Object.fromEntries(['password', 'accessToken', 'refreshToken', 'token', 'authorization', 'secret', 'secretHash', 'passwordHash', 'masterKeys', 'serviceKeys'].map((name) => [name, 'kestrel']));
    openLog('trace').info({ ...secrets, request: { ...secrets, headers: secrets }, harmless: 'merlin' }, 'said');
  `;
  const line = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(line).not.toContain('kestrel');
  expect(line).toContain('merlin');
  expect(JSON.parse(line)).toMatchObject({
    level: 30,
    msg: 'said',
    password: '[redacted]',
    request: { headers: { token: '[redacted]' } },
  });
});

test('a process writes no secret to stdout or stderr, whatever it receives', async () => {
  const database = await createDatabase();
  const { MASTER_KEYS, SERVICE_KEYS } = testEnv;
  const process = await serve({ DATABASE_URL: database.url, LOG_LEVEL: 'trace', MASTER_KEYS, SERVICE_KEYS });
  const grpc = new RawGrpc(Number(process.ready.grpc.split(':').at(-1)));
  const { auth, admin } = process.clients.json;
  await admin.createUser(ada, asService);
  const { tokens } = await auth.signIn({ email: ada.email, password: ada.password });
  const path = '/gatehouse.v1.AuthService/GetMe';
  const spoilt = [
    `Bearer ${tokens!.accessToken}\u00e9`,
    `Bearer ${tokens!.accessToken}\u0001`,
    `B\u00e4rer ${serviceKey}`,
  ];
  for (const authorization of spoilt) await grpc.call(path, frame(), { authorization }).catch(() => {});
  await grpc.call(path, frame(), { authorization: `Bearer ${tokens!.accessToken}`, 'grpc-timeout': ada.password });
  await grpc.call(path, frame(Buffer.from(ada.password), { flag: 1 }), { 'grpc-encoding': 'gzip' });
  grpc.close();
  expect(await process.end()).toEqual({ code: 0, signal: null });
  expect(process.output.stderr).toBe('');
  expect(process.output.stdout).toContain('AuthService/SignIn');
  expectNone(process.output.stdout, [
    ada.email,
    ada.password,
    serviceKey,
    tokens!.accessToken,
    tokens!.refreshToken,
    MASTER_KEYS.split(':')[1]!,
  ]);
});

function linesOf({ ledger }: TestService): Line[] {
  return ledger.lines.map((line) => JSON.parse(line) as Line);
}

function expectNone(text: string, secrets: Iterable<string>): void {
  for (const secret of secrets) {
    const bytes = Buffer.from(secret);
    for (const spelling of [secret, bytes.toString('hex'), bytes.toString('base64'), encodeURIComponent(secret)])
      expect(text.includes(spelling), `it holds ${spelling}`).toBe(false);
  }
}
