import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeDirectory } from '../support/config-fixtures.ts';
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

/** A module that notes the mode of each file before it is written to, and before it is renamed. */
function watcher(log: string): string {
  const module = path.join(path.dirname(log), 'watcher.mjs');
  writeFileSync(
    module,
    `import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
const { fstatSync, openSync, renameSync, statSync, writeFileSync, writeSync } = fs;
const log = openSync(${JSON.stringify(log)}, 'a');
const note = (what, { mode }) => writeSync(log, what + ' ' + (mode & 0o777).toString(8) + '\\n');
fs.writeFileSync = (file, ...rest) => {
  note('write', fstatSync(file));
  writeFileSync(file, ...rest);
};
fs.renameSync = (from, to) => {
  note('rename', statSync(from));
  renameSync(from, to);
};
syncBuiltinESMExports();
`,
  );
  return module;
}

describe('the file of the tokens', () => {
  test('is at no moment readable by others, whatever the umask is, and its path is printed', async () => {
    const prepared = await prepare();
    const { file, approve } = prepared;
    const log = path.join(makeDirectory(), 'modes');
    rmSync(path.dirname(path.dirname(file)), { recursive: true });
    const traced = launchAfter(
      `umask 000; export NODE_OPTIONS='--import ${watcher(log)}'`,
      prepared,
      'login',
      '--json',
    );
    await approve((await traced.code()).user_code);
    const { code, out } = await traced.ended;
    expect([code, JSON.parse(out[1]!).file]).toEqual([0, file]);
    expect([modeOf(path.dirname(file)), modeOf(file)]).toEqual([0o700, 0o600]);
    const seen = readFileSync(log, 'utf8').trim().split('\n');
    expect(new Set(seen)).toEqual(new Set(['write 600', 'rename 600']));
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
