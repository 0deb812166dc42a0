import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findStaleThirdParty, writeThirdParty } from './third-party.ts';

/*
 * npm run generate             writes third_party/, gen/, docs/api.md, docs/errors.md, docs/configuration.md
 *                              and docs/commands.md
 * npm run generate -- --check  writes nothing; names the files in third_party/ and gen/ that it would write differently
 */
if (process.argv.includes('--check')) check();
else generate();

function generate(): void {
  writeThirdParty();
  runBuf([]);
  for (const tool of ['tools/reference/write.ts', 'tools/config-table.ts', 'tools/commands-document.ts']) {
    const { status } = spawnSync(process.execPath, [tool], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}

function check(): void {
  const fresh = mkdtempSync(path.join(tmpdir(), 'gatehouse-gen-'));
  try {
    runBuf(['--output', fresh]);
    const stale = [
      ...findStaleThirdParty().map((name) => path.join('third_party', name)),
      ...findStale('gen', path.join(fresh, 'gen')).map((name) => path.join('gen', name)),
    ];
    if (stale.length === 0) return;
    console.error(`not what npm run generate writes:\n${stale.map((name) => `  ${name}`).join('\n')}`);
    process.exitCode = 1;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function runBuf(args: string[]): void {
  execFileSync('node_modules/.bin/buf', ['generate', ...args], { stdio: 'inherit' });
}

function findStale(have: string, want: string): string[] {
  const names = new Set([have, want].flatMap((root) => globSync('**/*.ts', { cwd: root })));
  const read = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);
  return [...names].filter((name) => read(path.join(have, name)) !== read(path.join(want, name))).sort();
}
