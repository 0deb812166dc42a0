import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { cancelMails } from '../mail/mail.ts';
import type { Flow } from './flow.ts';
import { mintOneTimeValue, type OneTimeKind, readOneTimeValue } from './secret.ts';
import { isPending, OneTimeToken } from './token.ts';

/** Seconds until a value expires whose mail was not sent yet. */
const unsentSeconds = 24 * 3600;

/** The hashes of a code, stored beside the value that the code stands for. */
export interface CodeHashes {
  readonly nonceHash: Buffer;
  readonly codeHash: Buffer;
}

export interface OneTimeDraft extends Partial<CodeHashes> {
  readonly projectId: string;
  /** Nothing is issued for a user who does not exist. */
  readonly userId: string;
  readonly kind: OneTimeKind;
  /** The address, as emailKey spells it, that the value proves. */
  readonly target: string;
  /** Seconds from the sending of the first mail with the value. */
  readonly lifetime: number;
  /**
   * The id of the first value of the mail, when this is the second. Unless the first was inserted, nothing is issued or
   * voided. The second outlives the first, whose lifetime begins with the mail.
   */
  readonly firstId?: string;
  readonly flow?: Flow | undefined;
  /** The value is in no mail, so its lifetime begins at once. */
  readonly isHandedOut?: boolean | undefined;
}

export interface Issued {
  /** The id of the row, also when none was inserted. */
  readonly id: string;
  /** The only copy. */
  readonly raw: string;
}

interface NewToken {
  readonly id: string;
  readonly projectId: string;
  readonly userId: string;
  readonly kind: OneTimeKind;
  readonly target: string;
  readonly hash: Uint8Array;
  readonly nonceHash: Uint8Array | null;
  readonly codeHash: Uint8Array | null;
  readonly lifetimeSeconds: number;
  readonly firstId: string | null;
  readonly flow: string | null;
  readonly now: Date;
  readonly expiresAt: Date;
}

// Of two at once, the index admits one. The other does not conflict but inserts nothing.
const insertToken = statement<{ id: string }, NewToken>(
  'one_time_issue',
  `with holder as (
     select id from users where id = :userId and deleted_at is null and (:firstId::uuid is null
       or exists (select 1 from one_time_tokens f where f.id = :firstId::uuid and f.user_id = :userId))
   ),
   voided as (
     update one_time_tokens t set voided_at = :now
     where t.user_id = :userId and t.kind = :kind and ${isPending('t')} and exists (select 1 from holder) returning t.id
   ), cancelled as (${cancelMails('voided', ':now')})
   insert into one_time_tokens (id, project_id, user_id, kind, target, hash, nonce_hash, code_hash,
     flow, lifetime_seconds, created_at, expires_at)
   select :id::uuid, :projectId::uuid, holder.id, :kind, :target::text, :hash::bytea, :nonceHash::bytea, :codeHash::bytea,
     :flow::jsonb, :lifetimeSeconds::int, :now, :expiresAt::timestamptz
   from holder, (select count(*) from voided) v, (select count(*) from cancelled) c
   on conflict do nothing returning id`,
);

/**
 * Issues a value and voids the older ones of its kind.
 *
 * For a user who does not exist the same statement runs and inserts nothing, as it does for the later of two calls at the
 * same moment. A mail with the id of such a value is not sent either.
 */
export async function issue(em: EntityManager, draft: OneTimeDraft, now: Date): Promise<Issued> {
  const drafted = draftToken(draft, now);
  await issueDrafted(em, drafted);
  return { id: drafted.token.id, raw: drafted.raw };
}

/** A value before its row is inserted. */
export interface DraftedToken {
  /** The only copy. */
  readonly raw: string;
  readonly token: OneTimeToken;
  readonly firstId: string | null;
}

/** A value for `issueDrafted`, or for the statement that creates its user: a new user has no older values. */
export function draftToken(draft: OneTimeDraft, now: Date): DraftedToken {
  const { projectId, userId, kind, target, lifetime, firstId = null, nonceHash = null, codeHash = null } = draft;
  const raw = mintOneTimeValue(userId);
  const { hash } = readOneTimeValue(projectId, kind, raw)!;
  const { flow = null, isHandedOut = false } = draft;
  const seconds = isHandedOut ? lifetime : unsentSeconds + (firstId ? lifetime : 0);
  const expiresAt = new Date(now.getTime() + seconds * 1000);
  const about = { id: uuidv7(now), projectId, userId, kind, target, flow };
  const values = { hash, nonceHash, codeHash, lifetimeSeconds: lifetime, createdAt: now, expiresAt };
  return { raw, token: Object.assign(new OneTimeToken(), about, values), firstId };
}

export async function issueDrafted(em: EntityManager, { token, firstId }: DraftedToken): Promise<void> {
  const { id, projectId, userId, kind, target, lifetimeSeconds, createdAt: now, expiresAt } = token;
  const { hash, nonceHash = null, codeHash = null } = token;
  const flow = token.flow ? JSON.stringify(token.flow) : null;
  const about = { id, projectId, userId, kind, target, firstId, flow, lifetimeSeconds, now, expiresAt };
  await insertToken(em, { ...about, hash, nonceHash, codeHash });
}
