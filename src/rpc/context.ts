import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { Refusal } from '../errors.ts';
import type { Origin } from './origin.ts';

/** A signed-in user, in the current state of the database. */
export interface UserCaller {
  readonly kind: 'user';
  readonly projectId: string;
  readonly userId: string;
  /** The id of the session or, for a caller with an API key, of the key. */
  readonly sessionId: string;
  /** Set for a caller with an API key. */
  readonly apiKey?: ApiKeyGrant;
  /** Of the access token. A renewal of the session raises that of the session. */
  readonly tokenEpoch: number;
  readonly isGuest: boolean;
  readonly mustChangePassword: boolean;
  /** May call the methods for operators. */
  readonly isOperator: boolean;
  /** Has a verified second factor, in this session or not. */
  readonly hasFactor: boolean;
  /** The operator who acts as this user. */
  readonly impersonatorId: string | undefined;
  /** The lower one of the assurance levels of the access token and its session. */
  readonly aal: number;
  readonly authenticatedAt: Date;
  /** Undefined for a caller with an API key. */
  readonly sessionKind: string | undefined;
  /** When the user was created, in seconds since 1970. */
  readonly userSince: number;
  /** The session was opened on a device that the user trusts. */
  readonly isOnTrustedDevice: boolean;
  /** The access token was issued while the session lacked a required factor. */
  readonly hasRestrictedToken: boolean;
  /** When the user signed in with a reset link. */
  readonly recoveredAt?: Date | undefined;
}

/** What an API key permits. */
export interface ApiKeyGrant {
  /** The services and methods that the key may call. Empty: all that admit API keys. */
  readonly scopes: readonly string[];
}

/** An internal backend, known by its service key or its client certificate. */
export interface ServiceCaller {
  readonly kind: 'service';
  readonly projectId: string;
  readonly name: string;
  /** The services and methods that the backend may call: `SessionService.Introspect`. Undefined: all. */
  readonly scopes?: readonly string[] | undefined;
}

export type Caller = UserCaller | ServiceCaller;

/** The session for which a transaction is run. */
export type SessionOfCaller = Pick<UserCaller, 'userId' | 'sessionId' | 'tokenEpoch'>;

/** What `change` locks before it runs the closure. */
export interface Locks {
  /**
   * Takes the place of the caller: the session of a user who has approved what a call without an access token does. It has
   * to be live, and no newer token may have superseded the approving one.
   */
  readonly onBehalfOf?: SessionOfCaller;
  /** Users besides the caller whose rows or sessions the closure changes. */
  readonly users?: readonly string[];
  /** For a method whose credential is in the request: the access token's session is neither locked nor checked. */
  readonly ignoresCaller?: boolean;
  /** The closure revokes the sessions of everybody in the project. */
  readonly isForEverybody?: boolean;
}

/** The database side of one call. */
export interface Work {
  /** Reads outside any transaction. */
  reads(): EntityManager;
  /** Single statements that commit by themselves. */
  readonly autocommit: Autocommit;
  /** Runs the call's one transaction. */
  change<T>(closure: (em: EntityManager) => Promise<T>, locks?: Locks): Promise<T>;
  /** Writes with one statement that commits by itself. */
  changeAlone<T>(send: (on: Autocommit | EntityManager) => Promise<T>): Promise<T>;
}

export const kOrigin = createContextKey<Origin>(
  { requestId: '', address: '', userAgent: '' },
  { description: 'origin of the call' },
);
export const kCertificateNames = createContextKey<readonly string[]>([], {
  description: "names in the client's certificate, once verified",
});
export const kCaller = createContextKey<Caller | Refusal | undefined>(undefined, { description: 'caller' });
/** The project that the call names by its slug, its id or its publishable key. */
export const kProjectName = createContextKey<string | undefined>(undefined, { description: 'named project' });
export const kProject = createContextKey('', { description: 'project id' });
/** The protocol a call came by, as OpenTelemetry names it. */
export const kSystem = createContextKey<'grpc' | 'connectrpc'>('grpc', { description: 'rpc system' });
/** The interface through which a call came, if it has rules of its own. */
export const kSurface = createContextKey<'supabase' | undefined>(undefined, { description: 'surface' });
/** An outcome for the metrics that the response does not show: `replayed`, or the action of an audit event. */
export const kRemark = createContextKey<string | undefined>(undefined, { description: 'remark' });
/** Set while the call is traced. */
export const kTraceId = createContextKey<string | undefined>(undefined, { description: 'trace id' });
export const kWork = createContextKey<Work | undefined>(undefined, { description: 'unit of work' });

export function origin({ values }: HandlerContext): Origin {
  return values.get(kOrigin);
}

/** The project the call belongs to: the token's, or the one named by the `gatehouse-project` header. */
export function projectOf({ values }: Pick<HandlerContext, 'values'>): string {
  return values.get(kProject);
}

/** The address of the client and the project of the call: what budgets of calls are counted by. */
export function clientOf(context: HandlerContext) {
  return { address: origin(context).address, projectId: projectOf(context), surface: context.values.get(kSurface) };
}

/** The user who calls. Throws AUTHENTICATION_REQUIRED without a bearer token, and the refusal of an invalid one. */
export function caller(context: HandlerContext): UserCaller {
  return callerIfAny(context) ?? refuse(new Refusal('AUTHENTICATION_REQUIRED'));
}

/** The user who calls, or undefined without a bearer token. Throws the refusal of an invalid one. */
export function callerIfAny({ values }: HandlerContext): UserCaller | undefined {
  const found = values.get(kCaller);
  if (found instanceof Refusal) throw found;
  if (found?.kind === 'service') throw new Refusal('CALLER_NOT_ALLOWED');
  return found;
}

/** The caller of a method whose policy admits users and backends. */
export function anyCaller({ values }: Pick<HandlerContext, 'values'>): Caller {
  const found = values.get(kCaller);
  if (!found || found instanceof Refusal) throw found ?? new Refusal('AUTHENTICATION_REQUIRED');
  return found;
}

/** The call's entity manager for reading: no transaction, no connection held between queries. */
export function reads(context: HandlerContext): EntityManager {
  return work(context).reads();
}

/** Runs single statements that commit by themselves, for hot paths. */
export function autocommit(context: HandlerContext): Autocommit {
  return work(context).autocommit;
}

/**
 * Runs the call's one transaction. Returns what the closure returned, after the commit.
 *
 * The closure may run more than once: a serialization failure or a deadlock (40001, 40P01) repeats it on a fresh entity
 * manager. So it contains database work only: no hashing, no mail, no remote call. Nothing commits after the deadline.
 *
 * First the transaction locks the rows of the caller and of `locks.users`, in the order of their ids. Throws
 * SESSION_REVOKED, SESSION_EXPIRED or TOKEN_SUPERSEDED when the caller's session was revoked, expired or was renewed since
 * the call was authenticated.
 */
export function change<T>(
  context: HandlerContext,
  closure: (em: EntityManager) => Promise<T>,
  locks?: Locks,
): Promise<T> {
  return work(context).change(closure, locks);
}

/**
 * Writes with one statement that commits by itself, which saves the two round trips of a transaction. For methods without a
 * caller: no row is locked first. A `change` may follow where the statement wrote nothing.
 */
export function changeAlone<T>(
  context: HandlerContext,
  send: (on: Autocommit | EntityManager) => Promise<T>,
): Promise<T> {
  return work(context).changeAlone(send);
}

/** Notes an outcome of the call for the metrics. */
export function remark({ values }: HandlerContext, what: string): void {
  values.set(kRemark, what);
}

function work({ values }: HandlerContext): Work {
  return values.get(kWork) ?? refuse(new Error('no unit of work: is its interceptor installed?'));
}

function refuse(thrown: Error): never {
  throw thrown;
}
