import { createHash, randomInt } from 'node:crypto';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import type { OneTimeKind } from './secret.ts';
import { type CodeHashes, isOpen } from './token.ts';

/** How often one code may be tried, the right one included. */
const mostTries = 5;
const digits = 6;

/** A code as somebody has typed it. */
export interface TypedCode {
  readonly projectId: string;
  readonly kind: OneTimeKind;
  /** As emailKey spells it. */
  readonly target: string;
  readonly clientNonce: string;
  readonly code: string;
}

interface Tried {
  readonly userId: string;
  /** Of the value that the code stands for. Undefined when it is another code. */
  readonly hash: Buffer | undefined;
}

// Counts before anything is compared, by itself: no call that fails later takes it back, and of any number of tries at
// once five are compared. Only with the nonce of whoever asked for the code, so that nobody else can use the tries up.
const tryCode = statement<{ userId: string; hash: Buffer; codeHash: Buffer }>(
  'one_time_try_code',
  `update one_time_tokens t set code_tries = coalesce(t.code_tries, 0) + 1 from users u
   where u.project_id = $1 and u.email_key = $3 and t.nonce_hash = $4 and coalesce(t.code_tries, 0) < ${mostTries}
     and ${isOpen('$1', '$5', '$2')} returning t.user_id as "userId", t.hash, t.code_hash as "codeHash"`,
);

/**
 * Six digits that stand for a one-time value, for who reads the mail elsewhere than where they sign in.
 *
 * A code is good only together with the nonce that the client sent when it asked for it (ASVS 5.0, 6.6.2), and for five
 * tries; the value itself outlives them. Stored is its HMAC: with the database alone a million hashes are no work.
 */
export class MailedCodes {
  readonly #keys: MasterKeys;

  constructor(keys: MasterKeys) {
    this.#keys = keys;
  }

  mint(about: Omit<TypedCode, 'code'>): CodeHashes & { raw: string } {
    const raw = randomInt(10 ** digits)
      .toString()
      .padStart(digits, '0');
    const codeHash = this.#keys.mac('mailed code', described({ ...about, code: raw }));
    return { raw, codeHash, nonceHash: hashNonce(about.clientNonce) };
  }

  /** Counts a try. Undefined when there is no such code, or it was tried too often. */
  async try(autocommit: Autocommit, typed: TypedCode, now: Date): Promise<Tried | undefined> {
    const { projectId, target, kind, clientNonce } = typed;
    const [row] = await tryCode(autocommit, [projectId, now, target, hashNonce(clientNonce), kind]);
    if (!row) return undefined;
    const isRight = this.#keys.isMac('mailed code', described(typed), row.codeHash);
    return { userId: row.userId, hash: isRight ? row.hash : undefined };
  }
}

function hashNonce(nonce: string): Buffer {
  return createHash('sha256').update(`gatehouse nonce ${nonce}`).digest();
}

function described({ projectId, kind, target, clientNonce, code }: TypedCode): string {
  return JSON.stringify([projectId, kind, target, clientNonce, code]);
}
