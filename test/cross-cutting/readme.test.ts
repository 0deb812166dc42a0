import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { newDataDir, serve } from '../support/process.ts';

const root = path.join(import.meta.dirname, '../..');

/** The commands of README's tour as one script, with the addresses of the service under test. */
function tour(replace: Record<string, string>): string {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const [, text = ''] = /<!-- tour:begin -->(.*)<!-- tour:end -->/s.exec(readme) ?? [];
  const commands = [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block).join('\n');
  return Object.entries(replace).reduce((script, [from, to]) => script.replaceAll(from, to), commands);
}

const hasCurl = spawnSync('curl', ['--version']).status === 0;
if (!hasCurl) console.warn("NOT TRIED: README's tour, because there is no curl on this machine");

test.runIf(hasCurl)("every command of README's tour succeeds as described", async () => {
  const dataDir = newDataDir();
  const service = await serve({ DATA_DIR: dataDir, LIMITS: '', SERVICE_KEYS: '' });
  const script = tour({
    'http://localhost:8080': service.ready.http,
    'http://localhost:50051': `http://${service.ready.grpc}`,
    '.data/service-key': `${dataDir}/service-key`,
    'ada.json': `${dataDir}/ada.json`,
    'refreshed.json': `${dataDir}/refreshed.json`,
  });
  // curl reports the status of each response; npx is not needed to find what npm has installed.
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
  // All calls succeed except GetMe after SignOut. The last command makes three requests.
  expect(codes).toEqual([...Array(8).fill('200'), '200', '401', '200', '200', '200']);
  expect(stdout).toContain('"email":"ada@example.org"');
  expect(stdout).toContain('gatehouse.v1.SessionService/Refresh');
  expect(stdout).toContain('SERVING');
  expect(stdout).toContain('"active":true');
  expect(stdout).toContain('"reason":"SESSION_REVOKED"');
});
