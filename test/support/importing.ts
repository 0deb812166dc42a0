import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { testEnv } from './people.ts';
import { run } from './process.ts';
import type { TestService } from './start.ts';

/** A file of these lines, its report, and `again`, which imports it. */
export function importing(service: TestService, lines: readonly unknown[]) {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'gatehouse-import-')), 'users.jsonl');
  const bytes = (line: unknown) => Buffer.from(typeof line === 'string' ? line : JSON.stringify(line));
  const parts = lines.map((each) => (Buffer.isBuffer(each) ? each : bytes(each)));
  writeFileSync(file, Buffer.concat(parts.flatMap((each) => [each, Buffer.from('\n')])));
  const env = { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  return { file, report: `${file}.refused.jsonl`, again: () => run(['import', file], env) };
}

/** The entries of a report. */
export const refusalsIn = (report: string) =>
  readFileSync(report, 'utf8')
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each));
