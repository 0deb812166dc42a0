import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { bob } from '../support/people.ts';
import { ada, expire, launchProgram, prepare, signIn } from './cli-program.ts';

const modeOf = (file: string) => statSync(file).mode & 0o777;

type Prepared = Awaited<ReturnType<typeof prepare>>;

/** The program under a shell command that changes what the process may do. */
function launchAfter(command: string, { env }: Prepared, ...args: string[]) {
  return launchProgram([process.execPath, 'examples/cli.mjs', ...args], env, [
    'bash',
    '-c',
    `${command}; exec "$@"`,
    'bash',
  ]);
}

describe('the file of the tokens', () => {
  test('is never readable by others, whatever the umask is, and its path is printed', async () => {
    const prepared = await prepare();
    const { file, approve } = prepared;
    rmSync(path.dirname(path.dirname(file)), { recursive: true });
    const seen = new Set<string>();
    const traced = launchAfter('umask 000', prepared, 'login', '--json');
    const directory = path.dirname(file);
    const look = setInterval(() => {
      for (const each of [directory, file, `${file}.lock`])
        if (existsSync(each)) seen.add(`${path.basename(each)} ${modeOf(each).toString(8)}`);
    }, 1);
    await approve((await traced.code()).user_code);
    const { code, out } = await traced.ended;
    clearInterval(look);
    expect([code, JSON.parse(out[1]!).file]).toEqual([0, file]);
    expect([modeOf(directory), modeOf(file)]).toEqual([0o700, 0o600]);
    expect([...seen].filter((each) => !/ 700$| 600$/.test(each))).toEqual([]);
    expect(await prepared.launch('login', '--json').code()).toHaveProperty('user_code');
  });

  test('is tightened when it is read', async () => {
    const prepared = await prepare();
    await signIn(prepared);
    chmodSync(prepared.file, 0o644);
    expect(await prepared.run('whoami')).toMatchObject({ code: 0, out: [ada.email] });
    expect(modeOf(prepared.file)).toBe(0o600);
  });

  test('is intact when the new tokens cannot be written', { timeout: 30_000 }, async () => {
    const prepared = await prepare();
    await signIn(prepared);
    expire(prepared.file);
    const before = readFileSync(prepared.file, 'utf8');
    // A write of more than no bytes fails, as on a full disk.
    const full = `trap '' XFSZ; ulimit -f 0`;
    const refresh = await launchAfter(full, prepared, 'token').ended;
    expect([refresh.code, refresh.out]).toEqual([1, []]);
    const login = launchAfter(full, prepared, 'login', '--json');
    await prepared.approve((await login.code()).user_code);
    expect((await login.ended).code).toBe(1);
    expect(readFileSync(prepared.file, 'utf8')).toBe(before);
    expect(await prepared.run('whoami')).toMatchObject({ code: 0, out: [ada.email] });
  });
});

describe('GATEHOUSE_TOKEN beside the file of another user', () => {
  test('wins, is named as the source, and leaves the file alone', { timeout: 30_000 }, async () => {
    const prepared = await prepare();
    const { service, env, file, run } = prepared;
    await signIn(prepared);
    const before = readFileSync(file, 'utf8');
    const { tokens } = await service.welcome(bob);
    env.GATEHOUSE_TOKEN = tokens.accessToken;
    expect(await run('whoami')).toMatchObject({ code: 0, out: [`${bob.email} (from GATEHOUSE_TOKEN)`] });
    expect(JSON.parse((await run('whoami', '--json')).out[0]!)).toMatchObject({
      email: bob.email,
      source: 'GATEHOUSE_TOKEN',
    });
    expect((await run('token')).out).toEqual([tokens.accessToken]);
    env.GATEHOUSE_TOKEN = 'another';
    expect(await run('whoami')).toMatchObject({ code: 3, err: 'The token in GATEHOUSE_TOKEN is not valid.\n' });
    expect(readFileSync(file, 'utf8')).toBe(before);
    env.GATEHOUSE_TOKEN = '';
    expect(JSON.parse((await run('whoami', '--json')).out[0]!)).toMatchObject({ email: ada.email, source: file });
  });

  test('stays in force, which a login and a logout say', { timeout: 30_000 }, async () => {
    const prepared = await prepare();
    const { env, me, file, run } = prepared;
    mkdirSync(path.dirname(file));
    env.GATEHOUSE_TOKEN = me.tokens.accessToken;
    const { code, out } = await signIn(prepared);
    expect([code, JSON.parse(out[1]!).notice]).toEqual([0, expect.stringContaining('GATEHOUSE_TOKEN is set')]);
    expect(await run('logout')).toMatchObject({
      code: 0,
      out: ['Signed out.'],
      err: expect.stringContaining('GATEHOUSE_TOKEN is set. It stays in force'),
    });
    expect(await run('whoami')).toMatchObject({ code: 0, out: [expect.stringContaining('(from GATEHOUSE_TOKEN)')] });
  });
});
