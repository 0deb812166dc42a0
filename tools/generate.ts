import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gatherThirdParty } from './third-party.ts';

/*
 * npm run generate             writes gen/ from the protos, ours and those of others, and the tables of settings
 * npm run generate -- --check  writes neither; names the files in gen/ that are not what it would have written
 */
gatherThirdParty();
if (process.argv.includes('--check')) check();
else generate();

function generate(): void {
  runBuf([]);
  const table = spawnSync(process.execPath, ['tools/config-table.ts'], { stdio: 'inherit' });
  if (table.status !== 0) process.exitCode = 1;
}

function check(): void {
  const fresh = mkdtempSync(path.join(tmpdir(), 'gatehouse-gen-'));
  try {
    runBuf(['--output', fresh]);
    const stale = findStale('gen', path.join(fresh, 'gen'));
    if (stale.length === 0) return;
    console.error(`not what npm run generate writes:\n${stale.map((name) => `  gen/${name}`).join('\n')}`);
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
