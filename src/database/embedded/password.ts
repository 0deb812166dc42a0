import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import {
  closeSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { EmbeddedPostgresError } from './binaries.ts';
import type { DataDirectory } from './data-directory.ts';
import type { Owner } from './owner.ts';

const shape = /^[\w-]{43}$/;

/** The password of the superuser. It is generated once, and again when other users could have read it. */
export function readPassword({ root }: DataDirectory): string {
  const file = path.join(root, 'postgres-password');
  const kept = readPrivate(file);
  if (kept !== undefined && shape.test(kept)) return kept;
  const password = randomBytes(32).toString('base64url');
  replace(file, `${password}\n`, process.getuid?.() === 0 ? statSync(root) : undefined);
  return password;
}

/** Undefined when there is no such file, or when it is not one that only this user can read. */
function readPrivate(file: string): string | undefined {
  if (!statSync(file, { throwIfNoEntry: false })) return undefined;
  const opened = openSync(file, 'r');
  try {
    const { mode, uid } = fstatSync(opened);
    const me = process.getuid?.();
    const isPrivate = (mode & 0o077) === 0 && (me === 0 || uid === me);
    return isPrivate ? readFileSync(opened, 'utf8').trim() : undefined;
  } finally {
    closeSync(opened);
  }
}

/** What the cluster admits, and whether its superuser has this password. */
export class Admission {
  readonly #file: string;
  readonly #owner: Owner | undefined;
  readonly #password: string;
  readonly #isSet: boolean;

  /**
   * Call it before the server starts. A cluster that does not have this password yet admits its superuser without one until
   * `complete`: clusters of earlier versions, new ones, and those that were copied without the password.
   */
  constructor({ cluster }: DataDirectory, owner: Owner | undefined, password: string) {
    this.#file = path.join(cluster, 'pg_hba.conf');
    this.#owner = owner;
    this.#password = password;
    this.#isSet = contentOf(this.#file) === this.#wanted;
    if (!this.#isSet) replace(this.#file, 'local all postgres trust\n', owner);
  }

  /** The comment identifies the password, so that a start finds out without a connection whether it is set. */
  get #wanted(): string {
    const rules = ['local all all scram-sha-256', 'local replication all scram-sha-256'];
    const mark = createHash('sha256').update(this.#password).digest('hex');
    return `# Written by Gatehouse for the password with the SHA-256 ${mark}.\n${rules.join('\n')}\n`;
  }

  /** From now on the server asks for the password. */
  async complete(socketDir: string, port: number): Promise<void> {
    if (this.#isSet) return;
    const ask = (text: string, password?: string) =>
      query({ host: socketDir, port, user: 'postgres', database: 'postgres', password }, text);
    await ask(`alter role postgres password '${verifierOf(this.#password)}'`);
    replace(this.#file, this.#wanted, this.#owner);
    const loaded = 'select pg_conf_load_time()::text as value';
    const before = await ask(loaded);
    await ask('select pg_reload_conf()');
    for (const end = performance.now() + 15_000; performance.now() < end; await sleep(2))
      if ((await ask(loaded, this.#password)) !== before) return;
    throw new EmbeddedPostgresError('NOT_STARTED', 'PostgreSQL does not load its pg_hba.conf');
  }
}

async function query(config: pg.ClientConfig, text: string): Promise<unknown> {
  const client = new pg.Client(config);
  await client.connect();
  try {
    return (await client.query(text)).rows[0]?.value;
  } finally {
    await client.end();
  }
}

/**
 * What PostgreSQL stores of a password (RFC 5803), so that the password itself is never sent. One iteration suffices: more
 * of them make short passwords expensive to guess, and this one has 256 random bits.
 */
function verifierOf(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 1, 32, 'sha256');
  const key = (name: string) => createHmac('sha256', salted).update(name).digest();
  const storedKey = createHash('sha256').update(key('Client Key')).digest('base64');
  return `SCRAM-SHA-256$1:${salt.toString('base64')}$${storedKey}:${key('Server Key').toString('base64')}`;
}

function contentOf(file: string): string | undefined {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file, 'utf8') : undefined;
}

/**
 * Writes a file that its owner alone can read. Attack: PostgreSQL's user owns the directory and puts a link there, through
 * which root would write; `wx` follows none.
 */
function replace(file: string, text: string, owner: Owner | undefined): void {
  const draft = `${file}.new`;
  rmSync(draft, { force: true });
  const opened = openSync(draft, 'wx', 0o600);
  try {
    if (owner) fchownSync(opened, owner.uid, owner.gid);
    writeSync(opened, text);
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
  renameSync(draft, file);
}
