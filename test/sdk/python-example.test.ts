import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { outcomeOf } from '../support/device-flow.ts';
import { ada, launchProgram, prepare } from './cli-program.ts';

const hasPython = isInstalled('python3');

if (!hasPython) console.warn('NOT TRIED: the example in Python, because there is no python3 on this machine');

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function started() {
  const prepared = await prepare();
  const env = { ...process.env, GATEHOUSE_URL: `http://127.0.0.1:${prepared.service.replicas[0]!.httpPort}` };
  const { child, ended } = launchProgram([], env, ['python3', 'examples/device_login.py']);
  let shown = '';
  child.stdout.on('data', (text) => {
    shown += text;
  });
  await expect.poll(() => shown, { timeout: 15_000 }).toMatch(/^Number {2}\d\d /m);
  return { ...prepared, child, ended, userCode: /^Code {4}(\S+)$/m.exec(shown)![1]! };
}

describe.runIf(hasPython)('the example in Python', { timeout: 40_000 }, () => {
  test('signs in', async () => {
    const { approve, ended, userCode } = await started();
    await approve(userCode);
    expect(await ended).toMatchObject({ code: 0, err: '' });
    expect((await ended).out.at(-1)).toBe(`Signed in as ${ada.email}.`);
  });

  test('ends when the user denies it, and when it has expired', async () => {
    const denied = await started();
    await denied.deny(denied.userCode);
    expect((await denied.ended).code).toBe(4);
    const expired = await started();
    expired.service.pass(901);
    expect((await expired.ended).code).toBe(5);
  });

  test('is canceled by Ctrl-C', async () => {
    const { child, approve, ended, userCode } = await started();
    child.kill('SIGINT');
    expect((await ended).code).toBe(130);
    expect(await outcomeOf(approve(userCode))).toBe('USER_CODE_NOT_FOUND');
  });
});
