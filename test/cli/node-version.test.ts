import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';

const launcher = path.join(import.meta.dirname, '../../tools/node');

/** A program that says it is this version of Node, and otherwise prints its name, its process id and its arguments. */
function fakeNode(folder: string, name: string, version: string): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo ${name} $$ "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}

function run({ installed, own }: { installed?: string; own: string }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'gatehouse-node-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  if (installed) fakeNode(folder, 'node_modules/.bin/node', installed);
  const npm_node_execpath = fakeNode(folder, 'own', own);
  const env = { PATH: process.env.PATH, npm_node_execpath };
  const { pid, status, stdout, stderr } = spawnSync(launcher, ['src/main.ts', 'two words'], { cwd: folder, env });
  return { pid, status, stdout: stdout.toString().trim(), stderr: stderr.toString() };
}

describe('npm scripts', () => {
  test('run on the Node that npm has installed, in the same process', () => {
    const { pid, stdout } = run({ installed: 'v24.21.0', own: 'v20.20.2' });
    expect(stdout).toBe(`node_modules/.bin/node ${pid} src/main.ts two words`);
  });

  test.each([undefined, 'v22.1.0'])('run on the Node of npm where the installed one is %s', (installed) => {
    expect(run({ ...(installed && { installed }), own: 'v24.12.0' }).stdout).toMatch(/^own /);
  });

  test.each(['v24.12.0', 'v24.20.1', 'v24.99.0', 'v26.0.0', 'v30.1.0'])('run on Node %s', (own) => {
    expect(run({ own })).toMatchObject({ status: 0, stdout: expect.stringMatching(/^own /) });
  });

  test.each(['v18.20.0', 'v20.20.2', 'v22.22.0', 'v23.11.0', 'v24.2.0', 'v24.11.9'])(
    'say in one sentence that Node %s is too old',
    (own) => {
      const { status, stdout, stderr } = run({ own });
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^Gatehouse needs Node 24\.12 or newer, and this is v[\d.]+: npm ci installs one .*\n$/);
      expect(stderr).toContain(own);
    },
  );
});
