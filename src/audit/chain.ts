import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { MasterKeys } from '../crypto/master-keys.ts';

/** An event as the database holds it. */
export interface StoredEvent {
  readonly id: string;
  readonly project_id: string;
  /** In UTC, to the millisecond, in ISO 8601. */
  readonly at: string;
  readonly action: string;
  readonly result: string;
  readonly cause: string | null;
  readonly actor_kind: string;
  readonly actor_id: string | null;
  readonly user_id: string | null;
  readonly session_id: string | null;
  readonly address: string;
  readonly user_agent: string;
  readonly request_id: string;
  readonly entity_type: string;
  readonly entity_id: string | null;
}

/** SQL for a time in UTC as text. The text is sealed, because drivers convert times in different ways. */
export const utcText = (time: string) => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

const columns =
  'id project_id at action result cause actor_kind actor_id user_id session_id address user_agent request_id entity_type entity_id'.split(
    ' ',
  );

/** The columns of an event, for statements that call the table as named. */
export const eventColumns = (table?: string) => columns.map((name) => (table ? `${table}.${name}` : name)).join(', ');

/** The same as a StoredEvent. */
export const storedEvent = (table: string) =>
  columns.map((name) => (name === 'at' ? `${utcText(`${table}.at`)} as at` : `${table}.${name}`)).join(', ');

/** The part of a seal that stands for one event: its id and a digest of its columns. */
export interface Mark {
  readonly id: string;
  readonly digest: Buffer;
}

/**
 * The version of the seals and anchors that this release writes. A seal says which columns of an event its digests cover and
 * what its hash covers, so a release that changes either writes another version and still verifies this one.
 */
export const sealVersion = 2;

/** The parts of a seal that its hash covers. */
export interface SealHead {
  readonly projectId: string;
  readonly sequence: number;
  readonly day: string;
  /** The number of events in this seal and all seals before it. */
  readonly total: number;
  readonly events: Buffer;
  readonly previousHash: Buffer;
}

const half = 16;

/** The length of a packed mark. */
export const markBytes = 2 * half;

/** The previous hash of a project's first seal. */
export const genesis = Buffer.alloc(32);

/** The canonical bytes of an event are the JSON of its columns in this order; the digest is the first half of SHA-256. */
export function markOf(event: StoredEvent): Mark {
  const { id, project_id, at, action, result, cause, actor_kind, actor_id, user_id, session_id } = event;
  const who = [actor_kind, actor_id, user_id, session_id, event.address, event.user_agent, event.request_id];
  const entity = [event.entity_type, event.entity_id];
  const canonical = JSON.stringify([id, project_id, at, action, result, cause, ...who, ...entity]);
  return { id, digest: createHash('sha256').update(canonical).digest().subarray(0, half) };
}

export function packMarks(marks: readonly Mark[]): Buffer {
  return Buffer.concat(marks.flatMap(({ id, digest }) => [Buffer.from(id.replaceAll('-', ''), 'hex'), digest]));
}

export function unpackMarks(packed: Buffer): Mark[] {
  return Array.from({ length: Math.floor(packed.length / markBytes) }, (_, index) => {
    const start = index * markBytes;
    const hex = packed.toString('hex', start, start + half);
    return {
      id: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
      digest: packed.subarray(start + half, start + markBytes),
    };
  });
}

/**
 * The hash of a seal, which covers the hash of the seal before it: HMAC-SHA-256 under a key derived from a master key.
 * Attack: write access to the database alone does not allow rebuilding the chain after an event was changed. Undefined when
 * the master key is unknown.
 */
export function sealHash(keys: MasterKeys, head: SealHead, keyId: string): Buffer | undefined {
  const key = keys.macKey('audit seal', keyId);
  if (!key) return undefined;
  const { projectId, sequence, day, total, events, previousHash } = head;
  const about = JSON.stringify([sealVersion, projectId, sequence, day, events.length, total]);
  return createHmac('sha256', key).update(previousHash).update(about).update(events).digest();
}

export function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
