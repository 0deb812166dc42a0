import { defineEntity, p } from '@mikro-orm/postgresql';
import { projectColumn } from '../project/project.ts';
import type { AttemptKind, AttemptState } from './kinds.ts';

/** What one kind of attempt keeps beside the columns. Ids and words, never a secret. */
export type About = Readonly<Record<string, unknown>>;

const LoginAttemptTable = defineEntity({
  name: 'LoginAttempt',
  tableName: 'login_attempts',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    kind: p.string().length(16).$type<AttemptKind>(),
    state: p.string().length(16).$type<AttemptState>(),
    codeHash: p.blob().hidden(),
    /** Null before the claim of an attempt that a user has started. */
    pollingHash: p.blob().hidden().nullable(),
    // The device that asks to be signed in.
    clientName: p.string().length(100),
    address: p.string().length(64),
    userAgent: p.string().length(512),
    comparison: p.string().length(2),
    about: p.json<About>(),
    // The user who approved it or, where users start attempts, who started it; and the approving session.
    userId: p.uuid().nullable(),
    approverSessionId: p.uuid().nullable(),
    approverEpoch: p.integer().nullable(),
    approverAuthenticatedAt: p.datetime(3).nullable(),
    /** The session or the key that the redemption created. */
    mintedId: p.uuid().nullable(),
    nonceHash: p.blob().hidden().nullable(),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3),
    /** Of the last change of the state. Null before the first one. */
    changedAt: p.datetime(3).nullable(),
    polledAt: p.datetime(3).nullable(),
    /** Seconds. */
    pollInterval: p.smallint(),
  },
  uniques: [{ name: 'login_attempts_code', properties: ['projectId', 'kind', 'codeHash'] }],
  // No column that a poll changes is indexed: the row is updated within its page (HOT).
  indexes: [
    {
      name: 'login_attempts_polling',
      properties: ['projectId', 'pollingHash'],
      expression:
        'create unique index "login_attempts_polling" on "login_attempts" ("project_id", "polling_hash") where "polling_hash" is not null',
    },
    {
      name: 'login_attempts_changed',
      properties: ['changedAt'],
      expression:
        'create index "login_attempts_changed" on "login_attempts" ("changed_at") where "changed_at" is not null',
    },
    {
      name: 'login_attempts_of_user',
      properties: ['userId', 'expiresAt'],
      expression:
        'create index "login_attempts_of_user" on "login_attempts" ("user_id", "expires_at") where "user_id" is not null',
    },
    { name: 'login_attempts_expiry', properties: ['expiresAt'] },
  ],
});

/**
 * A login that is started on one device, shown to a signed-in user, approved or denied once, and redeemed once. It belongs to no
 * user before it is redeemed, so its statements name the row itself.
 */
export class LoginAttempt extends LoginAttemptTable.class {}
LoginAttemptTable.setClass(LoginAttempt);

/** An attempt as the methods read it. */
export type Attempt = Omit<LoginAttempt, 'codeHash' | 'pollingHash'>;

/** SQL: the columns of an Attempt, of the attempt `a`. */
export const attemptColumns = `a.id, a.project_id as "projectId", a.kind, a.state, a.client_name as "clientName", a.address,
     a.user_agent as "userAgent", a.comparison, a.about, a.user_id as "userId", a.approver_session_id as "approverSessionId",
     a.approver_epoch as "approverEpoch", a.approver_authenticated_at as "approverAuthenticatedAt",
     a.minted_id as "mintedId", a.nonce_hash as "nonceHash", a.created_at as "createdAt", a.expires_at as "expiresAt",
     a.changed_at as "changedAt", a.polled_at as "polledAt", a.poll_interval as "pollInterval"`;
