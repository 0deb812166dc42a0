import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a program keeps of its session. */
export interface StoredTokens {
  readonly accessToken: string;
  /** When the access token expires, in milliseconds since 1970. */
  readonly expiresAt: number;
  readonly refreshToken: string;
  /** The attempt id of the one refresh of `refreshToken`: all processes that read this file send the same one. */
  readonly attemptId: string;
}

/** The file in the user's configuration directory that keeps the tokens of this program. */
export function tokenFileOf(program: string): string {
  const { XDG_CONFIG_HOME, APPDATA } = process.env;
  const configured = process.platform === 'win32' ? APPDATA : XDG_CONFIG_HOME;
  return path.join(configured || path.join(homedir(), '.config'), program, 'credentials.json');
}

/** Undefined without a file, and for a file that this program has not written. */
export function readTokens(file: string): StoredTokens | undefined {
  try {
    const stored = JSON.parse(readPrivately(file)) as Partial<StoredTokens>;
    return typeof stored.refreshToken === 'string' ? (stored as StoredTokens) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A file that others can read, restored from a backup for example, is readable by its owner only after this. */
function readPrivately(file: string): string {
  const handle = openSync(file, 'r');
  try {
    if (process.platform !== 'win32' && fstatSync(handle).mode & 0o077) tighten(handle);
    return readFileSync(handle, 'utf8');
  } finally {
    closeSync(handle);
  }
}

// On a file system without modes, or for the file of another user, this fails. The tokens are usable all the same.
function tighten(handle: number): void {
  try {
    fchmodSync(handle, 0o600);
  } catch (error) {
    if (!['EPERM', 'EROFS', 'ENOTSUP'].includes(codeOf(error) ?? '')) throw error;
  }
}

/** Replaces the file in one step, readable by its owner only. Returns what was in it. */
export function writeTokens(file: string, tokens: StoredTokens): Promise<StoredTokens | undefined> {
  return underLock(file, () => {
    const former = readTokens(file);
    replace(file, tokens);
    return former;
  });
}

/**
 * Replaces the file if it still has that refresh token, and returns what is in it then. Undefined after a sign-out.
 * Race: another process may have refreshed, or signed out, in the meantime. What it stored is newer.
 */
export function succeedTokens(
  file: string,
  refreshToken: string,
  tokens: StoredTokens,
): Promise<StoredTokens | undefined> {
  return underLock(file, () => {
    const latest = readTokens(file);
    if (latest?.refreshToken !== refreshToken) return latest;
    replace(file, tokens);
    return tokens;
  });
}

export function deleteTokens(file: string): void {
  rmSync(file, { force: true });
}

function replace(file: string, tokens: StoredTokens): void {
  const draft = `${file}.${randomUUID()}`;
  try {
    const handle = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(handle, `${JSON.stringify(tokens)}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** Milliseconds after which a lock belongs to a process that has crashed: nobody holds it across a call. */
const abandoned = 5000;

async function underLock<T>(file: string, act: () => T): Promise<T> {
  // The mode of a directory that existed before is not ours to change.
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const lock = `${file}.lock`;
  while (!tryLock(lock)) await sleep(20);
  try {
    return act();
  } finally {
    rmSync(lock, { force: true });
  }
}

function tryLock(lock: string): boolean {
  try {
    closeSync(openSync(lock, 'wx', 0o600));
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
  const { mtimeMs } = statSync(lock, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
  if (Date.now() - mtimeMs > abandoned) rmSync(lock, { force: true });
  return false;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
