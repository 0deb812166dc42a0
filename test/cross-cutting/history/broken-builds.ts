import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

const root = path.join(import.meta.dirname, '../../..');

interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Faults that the service must not have. Each is a change of a few words. */
export const brokenBuilds: Readonly<Record<string, readonly Change[]>> = {
  'a revocation skips the sessions that are locked': [
    {
      file: 'src/session/revocation.ts',
      from: 'where s.user_id = :userId and s.revoked_at is null\n     and (:only',
      to: `where s.user_id = :userId and s.revoked_at is null
     and s.id in (select id from sessions where user_id = :userId for no key update skip locked) and (:only`,
    },
  ],
  'Introspect returns what it remembers without max_staleness': [
    { file: 'src/session/introspect.ts', from: 'durationMs(maxStaleness) : 0', to: 'durationMs(maxStaleness) : 5000' },
  ],
  'a refresh ignores that its session is revoked': [
    {
      file: 'src/session/refresh-statements.ts',
      from: `import { endOf, isLive } from './session.ts'`,
      to: `import { endOf, isUnexpired } from './session.ts'`,
    },
    { file: 'src/session/refresh-statements.ts', from: `\${isLive('s')}`, to: `\${isUnexpired('s', ':now')}` },
  ],
  'a transaction commits after its deadline': [
    {
      file: 'src/database/transaction.ts',
      from: 'attempt(forkFor(orm, signal), closure, signal), operation, signal)',
      to: 'attempt(forkFor(orm), closure), operation)',
    },
  ],
  'a transaction does not ask whether the session of its caller is live': [
    { file: 'src/session/caller-lock.ts', from: '  requireLive(own?.state);\n', to: '' },
  ],
  'a transaction does not ask whether the token of its caller is superseded': [
    { file: 'src/session/caller-lock.ts', from: `then 'superseded' end`, to: 'then null end' },
  ],
  'a sign-in does not compare the password again': [
    {
      file: 'src/auth/sign-in.ts',
      from: 'and u.password_hash in (:checkedHash, :newHash)',
      to: 'and (u.password_hash in (:checkedHash, :newHash) or true)',
    },
  ],
  'an old refresh token is accepted by its attempt id': [
    {
      file: 'src/session/refresh.ts',
      from: 'age === 1 && session.same_attempt',
      to: 'age >= 1 && presented.attemptHash',
    },
  ],
};

/** Copies the sources with the changes, and returns the file to run. Removed after the test. */
export function makeBuild(changes: readonly Change[]): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'gatehouse-build-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const name of ['src', 'gen', 'package.json', 'proto'])
    cpSync(path.join(root, name), path.join(directory, name), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(directory, 'node_modules'));
  for (const { file, from, to } of changes) {
    const text = readFileSync(path.join(directory, file), 'utf8');
    if (text.split(from).length !== 2) throw new Error(`${file} does not contain once: ${from}`);
    writeFileSync(
      path.join(directory, file),
      text.replace(from, () => to),
    );
  }
  return path.join(directory, 'src/main.ts');
}
