import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';

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
export async function readTokens(file: string): Promise<StoredTokens | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  try {
    const stored = JSON.parse(text) as Partial<StoredTokens>;
    return typeof stored.refreshToken === 'string' ? (stored as StoredTokens) : undefined;
  } catch {
    return undefined;
  }
}

/** Replaces the file in one step, readable by its owner only. */
export async function writeTokens(file: string, tokens: StoredTokens): Promise<void> {
  // The mode of a directory that existed before is not ours to change.
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(tokens)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

export function deleteTokens(file: string): Promise<void> {
  return rm(file, { force: true });
}
