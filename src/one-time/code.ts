import { createHash, randomInt } from 'node:crypto';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import type { CodeHashes } from './issue.ts';
import type { OneTimeKey, OneTimeKind } from './secret.ts';
import { isUsable } from './token.ts';

/** Attempts per code, the correct one included. */
const mostTries = 5;
const digits = 6;

/** A code as it was typed, and what it was requested for. */
export interface TypedCode {
  readonly projectId: string;
  readonly kind: OneTimeKind;
  /** As emailKey spells it. */
  readonly target: string;
  readonly clientNonce: string;
  readonly code: string;
}

interface Attempt {
  readonly userId: string;
  readonly projectId: string;
  readonly kind: OneTimeKind;
  readonly target: string;
  readonly nonceHash: Buffer;
  readonly now: Date;
}

// Commits the count before the code is compared: a call that fails later does not undo it, and of any number of parallel
// attempts five are compared. The nonce is part of the condition, so only the client that requested the code can use up
// its attempts.
const countAttempt = statement<{ hash: Buffer; codeHash: Buffer }, Attempt>(
  'one_time_try_code',
  `update one_time_tokens t set code_tries = coalesce(t.code_tries, 0) + 1 from users u
   where t.target = :target and t.nonce_hash = :nonceHash
     and coalesce(t.code_tries, 0) < ${mostTries} and ${isUsable('t', 'u')}
   returning t.hash, t.code_hash as "codeHash"`,
);

/**
 * Six digits that stand for a one-time value, for users who read the mail on another device than the one they sign in on.
 *
 * A code is accepted only together with the nonce that the client sent when it requested the code (ASVS 5.0, 6.6.2), and
 * for five attempts. The value itself stays usable after them. The code is stored as an HMAC: a plain hash would be found
 * by hashing all million codes.
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

  /**
   * Counts an attempt on the code of this user, who has the address. Undefined when there is no such code, or it has had
   * five attempts. Without a value when the code is wrong.
   */
  async try(
    autocommit: Autocommit,
    userId: string,
    typed: TypedCode,
    now: Date,
  ): Promise<{ readonly value: OneTimeKey | undefined } | undefined> {
    const { projectId, target, kind, clientNonce } = typed;
    const nonceHash = hashNonce(clientNonce);
    const [row] = await countAttempt(autocommit, { userId, projectId, kind, target, nonceHash, now });
    if (!row) return undefined;
    const isRight = this.#keys.isMac('mailed code', described(typed), row.codeHash);
    return { value: isRight ? { userId, hash: row.hash } : undefined };
  }
}

function hashNonce(nonce: string): Buffer {
  return createHash('sha256').update(`gatehouse nonce ${nonce}`).digest();
}

function described({ projectId, kind, target, clientNonce, code }: TypedCode): string {
  return JSON.stringify([projectId, kind, target, clientNonce, code]);
}
