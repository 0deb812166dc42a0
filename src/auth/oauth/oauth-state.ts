import { createHash, randomBytes } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../../crypto/master-keys.ts';
import type { Autocommit } from '../../database/autocommit.ts';
import { statement } from '../../database/statement.ts';
import { uuidv7 } from '../../database/uuid.ts';
import type { CodeChallenge } from '../../one-time/flow.ts';
import { defaultProjectId, projectColumn } from '../../project/project.ts';
import type { SessionOfCaller } from '../../rpc/context.ts';

const OAuthStateTable = defineEntity({
  name: 'OAuthState',
  tableName: 'oauth_states',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    hash: p.blob().hidden(),
    provider: p.string().length(32),
    /** Null for a sign-in that any client can finish. */
    clientHash: p.blob().hidden().nullable(),
    sealed: p.blob().hidden(),
    // The session that links an identity. Null for a sign-in.
    userId: p.uuid().nullable(),
    sessionId: p.uuid().nullable(),
    tokenEpoch: p.integer().nullable(),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3),
    usedAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'oauth_states_hash', properties: ['projectId', 'hash'] }],
  indexes: [{ name: 'oauth_states_expiry', properties: ['expiresAt'] }],
});

/**
 * A sign-in that a provider has not answered yet. It belongs to no user, so its statements name the row itself. The client
 * gets the state as a random text, whose hash is stored. What the service must remember until then is sealed.
 */
export class OAuthState extends OAuthStateTable.class {}
OAuthStateTable.setClass(OAuthState);

const lifetime = 5 * 60_000;
// Lets secret scanners recognize a value.
const prefix = 'ghos_';

/** What is kept between the two calls. */
export interface Kept {
  /** Of PKCE (RFC 7636). */
  readonly verifier: string;
  /** Of the ID token. */
  readonly nonce: string;
  readonly callbackUrl: string;
  readonly redirectUrl: string;
  readonly clientState: string;
  readonly accountInviteCode: string;
  readonly inviteCode: string;
  /** Of the client, which exchanges a code for the session (PKCE). */
  readonly challenge?: CodeChallenge | undefined;
}

export interface StateDraft {
  readonly projectId: string;
  readonly provider: string;
  /** Empty for a sign-in that any client can finish. */
  readonly clientNonce: string;
  readonly kept: Kept;
  /** The session that links an identity. */
  readonly linking: SessionOfCaller | undefined;
}

/** A state that was used. */
export interface UsedState {
  readonly provider: string;
  readonly kept: Kept;
  readonly linking: SessionOfCaller | undefined;
}

interface NewState {
  readonly id: string;
  readonly projectId: string;
  readonly hash: Buffer;
  readonly provider: string;
  readonly clientHash: Buffer | null;
  readonly sealed: Buffer;
  readonly userId: string | null;
  readonly sessionId: string | null;
  readonly tokenEpoch: number | null;
  readonly now: Date;
  readonly expiresAt: Date;
}

const store = statement<object, NewState>(
  'oauth_state_store',
  `insert into oauth_states (id, project_id, hash, provider, client_hash, sealed, user_id, session_id, token_epoch,
     created_at, expires_at)
   values (:id, :projectId, :hash, :provider, :clientHash, :sealed, :userId, :sessionId, :tokenEpoch, :now, :expiresAt)
   returning 1`,
);

type StateRow = Pick<OAuthState, 'id' | 'provider' | 'sealed' | 'userId' | 'sessionId' | 'tokenEpoch'>;

// Of any number of calls with one state, one gets it. Another client does not use it up. An unbound one is any client's.
const use = statement<StateRow, { projectId: string; hash: Buffer; clientHash: Buffer | null; now: Date }>(
  'oauth_state_use',
  `update oauth_states s set used_at = :now
   where s.project_id = :projectId and s.hash = :hash and (s.client_hash is null or s.client_hash = :clientHash::bytea)
     and s.used_at is null and s.expires_at > :now
   returning s.id, s.provider, s.sealed, s.user_id as "userId", s.session_id as "sessionId", s.token_epoch as "tokenEpoch"`,
);

/** Stores and uses states. */
export class OAuthStates {
  readonly #keys: MasterKeys;

  constructor(keys: MasterKeys) {
    this.#keys = keys;
  }

  /** Returns the only copy of the state. */
  async open(on: Autocommit, { projectId, provider, clientNonce, kept, linking }: StateDraft, now: Date) {
    // The callback of a provider has no header that names the project.
    const suffix = projectId === defaultProjectId ? '' : `.${projectId}`;
    const state = prefix + randomBytes(32).toString('base64url') + suffix;
    const id = uuidv7(now);
    const expiresAt = new Date(now.getTime() + lifetime);
    await store(on, {
      ...{ id, projectId, provider, now, expiresAt },
      hash: hashOf('state', projectId, state),
      clientHash: clientNonce === '' ? null : hashOf('client', projectId, clientNonce),
      sealed: this.#keys.seal('oauth state', id, Buffer.from(JSON.stringify(kept))),
      userId: linking?.userId ?? null,
      sessionId: linking?.sessionId ?? null,
      tokenEpoch: linking?.tokenEpoch ?? null,
    });
    return { state, expiresAt };
  }

  /** Undefined for a state that is unknown, used or expired, or was opened by another client. */
  async use(on: Autocommit, projectId: string, state: string, clientNonce: string, now: Date) {
    const clientHash = clientNonce === '' ? null : hashOf('client', projectId, clientNonce);
    const [row] = await use(on, { projectId, hash: hashOf('state', projectId, state), clientHash, now });
    return row && this.#read(row);
  }

  #read({ id, provider, sealed, userId, sessionId, tokenEpoch }: StateRow): UsedState {
    const kept = JSON.parse(this.#keys.open('oauth state', id, Buffer.from(sealed)).toString()) as Kept;
    const isLink = userId && sessionId && tokenEpoch !== null && tokenEpoch !== undefined;
    return { provider, kept, linking: isLink ? { userId, sessionId, tokenEpoch } : undefined };
  }
}

function hashOf(what: string, projectId: string, value: string): Buffer {
  return createHash('sha256').update(`gatehouse oauth ${what} ${projectId} ${value}`).digest();
}
