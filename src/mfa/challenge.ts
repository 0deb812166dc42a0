import { randomBytes } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { insert, insertIfFree } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { projectColumn } from '../project/project.ts';

/** An action that a user confirms with a factor. */
export interface StepUpAction {
  readonly action: string;
  /** In words, for the user. */
  readonly description: string;
  /** Base64url of a SHA-256 hash. */
  readonly payloadHash: string;
  readonly audience: string;
}

/** What a challenge is for. A challenge of one purpose is unknown to every other. */
export type ChallengePurpose = 'verify' | 'step_up' | 'passkey_registration' | 'passkey_sign_in';

const ChallengeTable = defineEntity({
  name: 'Challenge',
  tableName: 'challenges',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    userId: p.uuid(),
    sessionId: p.uuid(),
    factorId: p.uuid(),
    purpose: p.string().length(32).$type<ChallengePurpose>(),
    /** Random bytes that a WebAuthn authenticator signs. */
    challenge: p.blob().hidden(),
    /** The action that a step-up confirms. */
    about: p.json<StepUpAction>().nullable(),
    attempts: p.smallint(),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3),
    usedAt: p.datetime(3).nullable(),
  },
  indexes: [{ name: 'challenges_expiry', properties: ['expiresAt'] }],
});

/** An open question to the holder of a factor. It is answered once, in the session that asked. */
export class Challenge extends ChallengeTable.class {}
ChallengeTable.setClass(Challenge);

const lifetimeSeconds = 300;
const mostAttempts = 5;

interface Asked {
  readonly projectId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly factorId: string;
  readonly purpose: ChallengePurpose;
  readonly about?: StepUpAction;
}

/** Opens a challenge for five minutes. */
export async function openChallenge(em: EntityManager, asked: Asked, now: Date): Promise<Challenge> {
  const expiresAt = new Date(now.getTime() + lifetimeSeconds * 1000);
  const row = { id: uuidv7(now), challenge: randomBytes(32), attempts: 0, about: null, createdAt: now, expiresAt };
  const challenge = Object.assign(new Challenge(), row, asked);
  await insert(em, challenge);
  return challenge;
}

/**
 * Records that a challenge was used for which nothing was stored before. Of parallel calls one passes. Throws
 * MFA_CHALLENGE_EXPIRED. The row is kept for as long as the challenge could be used.
 */
export async function recordUsed(
  em: EntityManager,
  used: Asked & { readonly id: string; readonly challenge: Buffer; readonly expiresAt: Date },
  now: Date,
): Promise<void> {
  const row = Object.assign(new Challenge(), used, { attempts: 1, createdAt: now, usedAt: now });
  if (!(await insertIfFree(em, row))) throw expired('used');
}

/** Names a challenge, and where it has to have been asked. */
export type ChallengeKey = Omit<Asked, 'projectId' | 'about'> & { readonly id: string };

/** SQL: the key names the challenge `c`. */
const isNamed = `c.id = :id and c.user_id = :userId and c.session_id = :sessionId and c.factor_id = :factorId
     and c.purpose = :purpose`;

/** SQL: the challenge `c` is open. */
const isOpen = `${isNamed} and c.used_at is null and c.expires_at > :now`;

const countAttempt = statement<{ challenge: Buffer }, ChallengeKey & { now: Date }>(
  'challenge_attempt',
  `update challenges c set attempts = c.attempts + 1 where ${isOpen} and c.attempts < ${mostAttempts} returning c.challenge`,
);

const close = statement<{ id: string }, ChallengeKey & { now: Date }>(
  'challenge_close',
  `update challenges c set used_at = :now where ${isOpen} returning c.id`,
);

const readUse = statement<{ isUsed: boolean }, ChallengeKey>(
  'challenge_use',
  `select c.used_at is not null as "isUsed" from challenges c where ${isNamed}`,
);

/** The refusal of a challenge that is not open. */
async function notOpen(on: Autocommit | EntityManager, key: ChallengeKey): Promise<Refusal> {
  const [row] = await readUse(on, key);
  if (!row) return expired('unknown');
  return expired(row.isUsed ? 'used' : 'expired');
}

function expired(state: 'unknown' | 'expired' | 'used'): Refusal {
  return new Refusal('MFA_CHALLENGE_EXPIRED', { metadata: { state } });
}

/**
 * Counts an attempt before its proof is judged, so that parallel attempts get no more verdicts than are admitted. Returns the
 * bytes to be signed. Throws MFA_CHALLENGE_EXPIRED.
 */
export async function attemptChallenge(autocommit: Autocommit, key: ChallengeKey, now: Date): Promise<Buffer> {
  const [row] = await countAttempt(autocommit, { ...key, now });
  if (!row) throw await notOpen(autocommit, key);
  return row.challenge;
}

/** Uses the challenge up. Of parallel calls one passes. Throws MFA_CHALLENGE_EXPIRED. */
export async function closeChallenge(em: EntityManager, key: ChallengeKey, now: Date): Promise<void> {
  const closed = await close(em, { ...key, now });
  if (closed.length === 0) throw await notOpen(em, key);
}

const look = statement<{ factorId: string; about: StepUpAction }, { id: string; userId: string; sessionId: string }>(
  'challenge_step_up',
  `select c.factor_id as "factorId", c.about from challenges c
   where c.id = :id and c.user_id = :userId and c.session_id = :sessionId and c.purpose = 'step_up' and c.about is not null`,
);

/** The action that a challenge is about, and its factor. Throws MFA_CHALLENGE_EXPIRED for the challenge of another session. */
export async function readStepUp(autocommit: Autocommit, key: { id: string; userId: string; sessionId: string }) {
  const [row] = await look(autocommit, key);
  if (!row) throw expired('unknown');
  return row;
}
