import { defineEntity, p } from '@mikro-orm/postgresql';
import { uuidv7 } from '../database/uuid.ts';
import { Project } from '../project/project.ts';
import { User } from '../user/user.ts';

export type SessionKind = 'web' | 'native' | 'cli' | 'device' | 'service';

/** Seconds a session lasts without a refresh, and at all. */
export interface Lifetime {
  readonly idle: number;
  readonly absolute: number;
}

/** One way in which the session's user proved who they are. */
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
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id'),
    kind: p.string().length(16).$type<SessionKind>(),
    aal: p.smallint(),
    amr: p.json<AuthenticationMethod[]>(),
    generation: p.integer(),
    secretHash: p.blob().hidden(),
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
  },
  // Nothing a refresh changes is indexed: the row is then rewritten within its page (HOT), see the first migration.
  indexes: [
    {
      name: 'sessions_live',
      properties: ['userId', 'id'],
      expression: 'create index "sessions_live" on "sessions" ("user_id", "id") where "revoked_at" is null',
    },
    { name: 'sessions_expiry', properties: ['expiresAt'] },
  ],
});

export interface SessionDraft {
  readonly projectId: string;
  readonly userId: string;
  readonly kind: SessionKind;
  readonly method: string;
  readonly lifetime: Lifetime;
  readonly secretHash: Buffer;
  readonly address: string;
  readonly userAgent: string;
}

/** One signed-in client. Ends when it idles too long, at its absolute end, or earlier when revoked. */
export class Session extends SessionTable.class {
  static open({ method, lifetime, ...draft }: SessionDraft, now: Date): Session {
    return Object.assign(new Session(), draft, {
      id: uuidv7(now),
      aal: 1,
      amr: [{ method, timestamp: Math.floor(now.getTime() / 1000) }],
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

function later(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000);
}
