import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { accessTokenOf, loginDevice } from '../../src/sdk/cli.ts';
import { outcomeOf } from '../support/device-flow.ts';
import { open } from '../support/sdk-entries.ts';
import { ada, expire, prepare, signIn } from './cli-program.ts';

describe('the example program', () => {
  test('signs in, prints the user and a token, and signs out', { timeout: 30_000 }, async () => {
    const prepared = await prepare();
    const { service, me, file, run } = prepared;
    const { code, out } = await signIn(prepared);
    expect(code).toBe(0);
    expect(JSON.parse(out[0]!)).toMatchObject({
      event: 'code',
      expires_in: 900,
      comparison_number: expect.any(String),
    });
    expect(out[0]).not.toMatch(/device_code/);
    expect(JSON.parse(out[1]!)).toEqual({ event: 'signed_in', user_id: me.user.id, email: ada.email, file });
    expect([statSync(file).mode & 0o777, statSync(path.dirname(file)).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(readdirSync(path.dirname(file))).toEqual(['credentials.json']);
    expect(await run('whoami')).toMatchObject({ code: 0, out: [ada.email] });
    const { out: printed } = await run('token');
    const as = { headers: { authorization: `Bearer ${printed[0]}` } };
    const { auth } = service.clients('json');
    expect((await auth.getMe({}, as)).user!.id).toBe(me.user.id);
    expect(await run('logout')).toMatchObject({ code: 0, out: ['Signed out.'] });
    expect(existsSync(file)).toBe(false);
    expect(await outcomeOf(auth.getMe({}, as))).toBe('SESSION_REVOKED');
    expect(await run('whoami')).toMatchObject({ code: 3, err: 'You are not signed in.\n' });
  });

  test('displays the page, the code and the number on stderr, and Ctrl-C cancels the login', async () => {
    const { launch, approve, file } = await prepare();
    const { child, ended } = launch('login');
    const shown = await new Promise<string>((resolve) => child.stderr.once('data', (text) => resolve(String(text))));
    const userCode = /^Code {4}(\S+)$/m.exec(shown)![1]!;
    expect(shown).toContain(`Open    http://gatehouse.test/device?user_code=${userCode}`);
    expect(shown).toMatch(/^Number {2}\d\d /m);
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 130, out: [] });
    expect(await outcomeOf(approve(userCode))).toBe('USER_CODE_NOT_FOUND');
    expect(existsSync(file)).toBe(false);
  });

  test('uses GATEHOUSE_TOKEN before the file, and explains its usage', async () => {
    const { env, me, run } = await prepare();
    env.GATEHOUSE_TOKEN = me.tokens.accessToken;
    expect(await run('whoami', '--json')).toMatchObject({ code: 0, out: [expect.stringContaining(me.user.id)] });
    env.GATEHOUSE_TOKEN = 'another';
    expect((await run('whoami')).code).toBe(3);
    expect(await run('constructor')).toMatchObject({ code: 2, err: expect.stringMatching(/^usage: login/) });
  });

  test('revokes the earlier session at a further login, and the new one if it cannot be stored', async () => {
    const prepared = await prepare();
    const { service, me, file } = prepared;
    const live = async () => (await service.clients('json').sessions.listSessions({}, me.as)).sessions.length;
    await signIn(prepared);
    await signIn(prepared);
    expect(await live()).toBe(2);
    // A directory cannot be replaced by a file.
    rmSync(file);
    mkdirSync(path.join(file, 'in-the-way'), { recursive: true });
    expect((await signIn(prepared)).code).toBe(1);
    expect(await live()).toBe(2);
  });

  test('does not change the mode of a directory that existed before', async () => {
    const prepared = await prepare();
    const directory = path.dirname(prepared.file);
    mkdirSync(directory, { mode: 0o755 });
    expect((await signIn(prepared)).code).toBe(0);
    expect([statSync(directory).mode & 0o777, statSync(prepared.file).mode & 0o777]).toEqual([0o755, 0o600]);
  });

  test('knows when its access token expires by its own clock', async () => {
    const prepared = await prepare();
    const before = Date.now();
    prepared.service.pass(1800);
    await signIn(prepared);
    const { expiresAt } = JSON.parse(readFileSync(prepared.file, 'utf8'));
    expect(expiresAt - before).toBeGreaterThan(3_500_000);
    expect(expiresAt - Date.now()).toBeLessThanOrEqual(3_600_000);
  });

  test('two runs at the same time refresh to the same session', async () => {
    const prepared = await prepare();
    await signIn(prepared);
    expire(prepared.file);
    const runs = await Promise.all([prepared.run('token'), prepared.run('token')]);
    expect(runs.map(({ code }) => code)).toEqual([0, 0]);
    prepared.service.pass(60);
    expire(prepared.file);
    expect(await prepared.run('whoami')).toMatchObject({ code: 0, out: [ada.email] });
  });

  test('exits with 3 once its session was revoked', { timeout: 30_000 }, async () => {
    const prepared = await prepare();
    await signIn(prepared);
    const { refreshToken } = expire(prepared.file);
    await prepared.service.clients('json').sessions.signOut({ refreshToken });
    const { code, out } = await prepared.run('token', '--json');
    expect([code, JSON.parse(out[0]!).error]).toEqual([3, 'not_signed_in']);
  });

  test('a refresh whose response was lost is repeated by the next run', { timeout: 40_000 }, async () => {
    const attempts: string[] = [];
    const inner: Interceptor = (next) => (req) => {
      if (req.method.name === 'Refresh') attempts.push((req.message as unknown as { attemptId: string }).attemptId);
      return next(req);
    };
    const prepared = await prepare({ inner: [inner] });
    await signIn(prepared);
    const { attemptId, refreshToken } = expire(prepared.file);
    const gatehouse = open('node', prepared.service.replicas[0]!, { interceptors: [lost()] });
    await expect(accessTokenOf({ name: 'a tool', gatehouse, tokenFile: prepared.file })).rejects.toThrow('is lost');
    // Longer than the reuse interval of a client without attempt ids.
    prepared.service.pass(60);
    expect(await prepared.run('token')).toMatchObject({ code: 0 });
    expect(attempts).toEqual([attemptId, attemptId]);
    expect(JSON.parse(readFileSync(prepared.file, 'utf8')).refreshToken).not.toBe(refreshToken);
  });
});

/** Loses the response of a refresh that the service has completed. */
function lost(): Interceptor {
  return (next) => async (req) => {
    const response = await next(req);
    if (req.method.name === 'Refresh') throw new Error('the response is lost');
    return response;
  };
}

function pending(): never {
  throw new ConnectError('try later', Code.Unavailable);
}

describe('loginDevice', () => {
  test('polls once more when the login ends before the next pause', async () => {
    const { signal, clientName } = await prepare();
    const results: (() => unknown)[] = [pending, pending, () => ({ user: { email: ada.email } })];
    const devices = {
      requestDeviceCode: async () => ({ expiresIn: durationFromMs(300), interval: durationFromMs(200) }),
      pollDeviceToken: async () => results.shift()!(),
    };
    const { user } = await loginDevice({ devices } as never, { clientName, signal, announce() {} });
    expect([user!.email, results]).toEqual([ada.email, []]);
  });

  test('ends when the user denies it, and when it has expired', async () => {
    const { service, deny, signal, clientName } = await prepare();
    const clients = open('node', service.replicas[0]!);
    const denied = loginDevice(clients, { clientName, signal, announce: async (c) => void (await deny(c.userCode)) });
    await expect(denied).rejects.toMatchObject({ outcome: 'denied' });
    const expired = loginDevice(clients, { clientName, signal, announce: () => service.pass(901) });
    await expect(expired).rejects.toMatchObject({ outcome: 'expired' });
  });

  test('waits as long as SLOW_DOWN asks', { timeout: 40_000 }, async () => {
    const polls: number[] = [];
    const inner: Interceptor = (next) => (req) => {
      if (req.method.name === 'PollDeviceToken') polls.push(performance.now());
      return next(req);
    };
    const { service, approve, signal, clientName } = await prepare({ inner: [inner] });
    const clients = open('node', service.replicas[0]!);
    let approval: Promise<unknown> = Promise.resolve();
    const { user } = await loginDevice(clients, {
      clientName,
      signal,
      async announce({ deviceCode, userCode }) {
        await outcomeOf(clients.devices.pollDeviceToken({ deviceCode }));
        approval = new Promise((resolve) => setTimeout(resolve, 3000)).then(() => approve(userCode));
      },
    });
    await approval;
    expect(user!.email).toBe(ada.email);
    expect(polls).toHaveLength(3);
    expect(polls[2]! - polls[1]!).toBeGreaterThan(9_900);
  });

  test('cancels the login when the code cannot be displayed', async () => {
    const { service, approve, signal, clientName } = await prepare();
    let userCode = '';
    const announce = (code: { userCode: string }) => {
      userCode = code.userCode;
      throw new Error('the terminal is closed');
    };
    const login = loginDevice(open('node', service.replicas[0]!), { clientName, signal, announce });
    await expect(login).rejects.toThrow('the terminal is closed');
    expect(await outcomeOf(approve(userCode))).toBe('USER_CODE_NOT_FOUND');
  });
});
