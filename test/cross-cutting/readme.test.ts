import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { newDataDir, serve } from '../support/process.ts';

const root = path.join(import.meta.dirname, '../..');

/** The commands of README's tour, one script per block, led to where the service under test listens. */
function tour(replace: Record<string, string>): string {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const [, text = ''] = /<!-- tour:begin -->(.*)<!-- tour:end -->/s.exec(readme) ?? [];
  const commands = [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block).join('\n');
  return Object.entries(replace).reduce((script, [from, to]) => script.replaceAll(from, to), commands);
}

const hasCurl = spawnSync('curl', ['--version']).status === 0;
if (!hasCurl) console.warn("NOT TRIED: README's tour, because there is no curl on this machine");

test.runIf(hasCurl)("every command of README's tour does what it says", async () => {
  const dataDir = newDataDir();
  const service = await serve({ DATA_DIR: dataDir, LIMITS: '', SERVICE_KEYS: '' });
  const script = tour({
    'http://localhost:8080': service.ready.http,
    'http://localhost:50051': `http://${service.ready.grpc}`,
    '.data/service-key': `${dataDir}/service-key`,
    'ada.json': `${dataDir}/ada.json`,
    'refreshed.json': `${dataDir}/refreshed.json`,
  });
  // curl reports what it was answered; npx is not needed to find what npm has installed.
  const wrapped = `set -euo pipefail
    curl() { command curl --write-out '%{stderr}%{http_code}\\n' "$@"; }
    npx() { "$@"; }
    ${script}`;
  const PATH = `${path.join(root, 'node_modules/.bin')}:${process.env.PATH}`;
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', wrapped], {
    cwd: root,
    env: { ...process.env, PATH },
  });
  const codes = stderr.split('\n').filter((line) => /^\d{3}$/.test(line));
  // All succeed but the question who I am after signing out. The last command asks three things.
  expect(codes).toEqual([...Array(8).fill('200'), '200', '401', '200', '200', '200']);
  expect(stdout).toContain('"email":"ada@example.org"');
  expect(stdout).toContain('gatehouse.v1.SessionService/Refresh');
  expect(stdout).toContain('SERVING');
  expect(stdout).toContain('"active":true');
  expect(stdout).toContain('"reason":"SESSION_REVOKED"');
});
