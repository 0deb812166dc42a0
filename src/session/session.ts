import { defineEntity, p } from '@mikro-orm/postgresql';
import type { ReadOnInsert } from '../database/insert.ts';
import { uuidv7 } from '../database/uuid.ts';
import { currentEpoch, projectColumn } from '../project/project.ts';
import { isOperatorAt } from '../user/operator.ts';
import { mayActAt, User } from '../user/user.ts';

export type SessionKind = 'web' | 'native' | 'cli' | 'device' | 'service';

/** Seconds until a session expires: after its last refresh, and after it was opened. */
export interface Lifetime {
  readonly idle: number;
  readonly absolute: number;
}

/** One authentication of the session's user. */
export interface AuthenticationMethod {
  readonly method: string;
  /** Seconds since 1970, as the `amr` claim has it. */
  readonly timestamp: number;
}

const SessionTable = defineEntity({
  name: 'Session',
  tableName: 'sessions',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id'),
    kind: p.string().length(16).$type<SessionKind>(),
    aal: p.smallint(),
    tokenEpoch: p.integer().default(0),
    amr: p.json<AuthenticationMethod[]>(),
    generation: p.integer(),
    secretHash: p.blob().hidden(),
    /** Of the attempt id of the last refresh. Null when it had none. */
    attemptHash: p.blob().hidden().nullable(),
    userAgent: p.string().length(512),
    address: p.string().length(64),
    createdAt: p.datetime(3),
    refreshedAt: p.datetime(3),
    idleSeconds: p.integer(),
    idleExpiresAt: p.datetime(3),
    expiresAt: p.datetime(3),
    refreshWindowAt: p.datetime(3),
    refreshCount: p.integer(),
    revokedAt: p.datetime(3).nullable(),
    revokeReason: p.string().length(32).nullable(),
    impersonatorId: p.uuid().nullable(),
    /** That of the project when the session was inserted. */
    sessionEpoch: p.integer().default(0),
    /** The machine that a fingerprint login has signed in. While the session is live, no other user can claim it. */
    fingerprintId: p.string().length(128).nullable(),
    /** The factor with which the session was last raised. */
    factorId: p.uuid().nullable(),
    /** The name that the program of a login gave to itself, as its user saw it. Null for other sessions. */
    clientName: p.string().length(100).nullable(),
  },
  // No column that a refresh changes is indexed: the row is updated within its page (HOT), see the first migration.
  indexes: [
    {
      name: 'sessions_live',
      properties: ['userId', 'id'],
      expression: 'create index "sessions_live" on "sessions" ("user_id", "id") where "revoked_at" is null',
    },
    { name: 'sessions_of_user', properties: ['userId', 'id'] },
    {
      name: 'sessions_of_devices',
      properties: ['userId', 'id'],
      expression: `create index "sessions_of_devices" on "sessions" ("user_id", "id") where "kind" in ('cli', 'device')`,
    },
    {
      name: 'sessions_of_impersonator',
      properties: ['impersonatorId'],
      expression:
        'create index "sessions_of_impersonator" on "sessions" ("impersonator_id") where "impersonator_id" is not null',
    },
    { name: 'sessions_expiry', properties: ['expiresAt'] },
    {
      name: 'sessions_of_fingerprint',
      properties: ['projectId', 'fingerprintId'],
      expression:
        'create index "sessions_of_fingerprint" on "sessions" ("project_id", "fingerprint_id") where "fingerprint_id" is not null and "revoked_at" is null',
    },
  ],
});

export interface SessionDraft {
  /** Default: a new one. */
  readonly id?: string | undefined;
  /** Default: now. */
  readonly authenticatedAt?: Date | undefined;
  readonly projectId: string;
  readonly userId: string;
  readonly kind: SessionKind;
  readonly method: string;
  /** The factor that signs in alone: the session begins at AAL2. */
  readonly factorId?: string | undefined;
  readonly lifetime: Lifetime;
  readonly secretHash: Buffer;
  /** The operator who acts as the user. */
  readonly impersonatorId?: string | undefined;
  readonly fingerprintId?: string | undefined;
  readonly clientName?: string | undefined;
  readonly address: string;
  readonly userAgent: string;
}

/** One signed-in client. It expires without refreshes or at its absolute limit, and may be revoked before. */
export class Session extends SessionTable.class {
  // Race: read before the insert, it might be an epoch that was over before the session existed.
  static readonly readOnInsert: ReadOnInsert = { sessionEpoch: currentEpoch };

  static open({ id, method, lifetime, authenticatedAt, ...draft }: SessionDraft, now: Date): Session {
    return Object.assign(new Session(), draft, {
      id: id ?? uuidv7(now),
      aal: draft.factorId ? 2 : 1,
      tokenEpoch: 0,
      amr: [authentication(method, authenticatedAt ?? now)],
      generation: 0,
      createdAt: now,
      refreshedAt: now,
      idleSeconds: lifetime.idle,
      idleExpiresAt: later(now, lifetime.idle),
      expiresAt: later(now, lifetime.absolute),
      refreshWindowAt: now,
      refreshCount: 0,
    });
  }
}
SessionTable.setClass(Session);

/** An authentication at this time. */
export function authentication(method: string, now: Date): AuthenticationMethod {
  return { method, timestamp: Math.floor(now.getTime() / 1000) };
}

function later(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000);
}

/** The part of a session that is shown to its user. */
export type ShownSession = Pick<
  Session,
  | 'id'
  | 'userId'
  | 'kind'
  | 'aal'
  | 'amr'
  | 'userAgent'
  | 'address'
  | 'createdAt'
  | 'refreshedAt'
  | 'idleExpiresAt'
  | 'expiresAt'
  | 'impersonatorId'
  | 'fingerprintId'
  | 'clientName'
>;

/** The columns of a ShownSession, of the session `s`. */
export const shownColumns = `s.id, s.user_id as "userId", s.kind, s.aal, s.amr, s.user_agent as "userAgent", s.address,
     s.created_at as "createdAt", s.refreshed_at as "refreshedAt", s.idle_expires_at as "idleExpiresAt",
     s.expires_at as "expiresAt", s.impersonator_id as "impersonatorId", s.fingerprint_id as "fingerprintId",
     s.client_name as "clientName"`;

/*
 * The states of a session, as SQL about the session `s` at the time `now`. No other file spells them.
 */

/** `s` has not expired. */
export const isUnexpired = (s: string, now: string) => `${s}.idle_expires_at > ${now} and ${s}.expires_at > ${now}`;

/**
 * The row of `s` itself is neither revoked nor expired. Never the condition of a statement that revokes: a refresh with an
 * earlier `now` may wait for its lock, and then prolongs a session that was skipped as expired.
 */
export const isRowLive = (s: string, now = ':now') => `${s}.revoked_at is null and ${isUnexpired(s, now)}`;

/**
 * `s` is revoked by a change elsewhere: all sessions of its project were revoked, or the operator who opened it to act
 * as its user is no longer an operator. Null means no.
 */
export const isRevokedIndirectly = (s: string, now = ':now', epoch = currentEpoch(`${s}.project_id`)) =>
  `(${s}.session_epoch <> ${epoch}
     or ${s}.impersonator_id is not null and not ${isOperatorAt(`${s}.impersonator_id`, now)})`;

/** `s` is live: neither revoked, in its row or indirectly, nor expired. The state of its user is not part of it. */
export const isLive = (s: string, now = ':now') =>
  `${isRowLive(s, now)} and ${isRevokedIndirectly(s, now)} is not true`;

/**
 * How the session `s` of the user `u` ended: 'revoked', also by a ban or the deletion of the user, 'expired', or null.
 * `epoch` is that of the project, read where no parallel change of it can be missed.
 */
export const endOf = (s: string, u: string, now = ':now', epoch = currentEpoch(`${s}.project_id`)) =>
  `case when ${s}.revoked_at is not null or not (${mayActAt(u, now)})
            or ${isRevokedIndirectly(s, now, epoch)} then 'revoked'
          when not (${isUnexpired(s, now)}) then 'expired' end`;
