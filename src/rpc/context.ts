import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { Refusal } from '../errors.ts';

/** Where a call came from, as the trusted part of its path tells. */
export interface Origin {
  readonly requestId: string;
  /** The client's network address; behind trusted proxies the one they report. */
  readonly address: string;
  /** At most 512 printable characters. */
  readonly userAgent: string;
}

/** A signed-in user, as the database knows them at this moment. */
export interface UserCaller {
  readonly kind: 'user';
  readonly projectId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly isGuest: boolean;
  readonly mustChangePassword: boolean;
  /** May call what is for operators. */
  readonly isOperator: boolean;
  /** Has a verified second factor, in this session or not. */
  readonly hasFactor: boolean;
  /** The operator who acts as this user. */
  readonly impersonatorId: string | undefined;
  /** The lower of what the token says and what the session has. */
  readonly aal: number;
  readonly authenticatedAt: Date;
}

/** An internal backend, known by its service key or its client certificate. */
export interface ServiceCaller {
  readonly kind: 'service';
  readonly projectId: string;
  readonly name: string;
}

export type Caller = UserCaller | ServiceCaller;

/** The database side of one call. */
export interface Work {
  /** Reads outside any transaction. */
  readonly reads: EntityManager;
  /** Single statements that commit by themselves. */
  readonly autocommit: Autocommit;
  /** Runs the call's one transaction. */
  change<T>(closure: (em: EntityManager) => Promise<T>): Promise<T>;
}

export const kOrigin = createContextKey<Origin>(
  { requestId: '', address: '', userAgent: '' },
  { description: 'origin of the call' },
);
export const kCertificateNames = createContextKey<readonly string[]>([], {
  description: "names in the client's certificate, once verified",
});
export const kCaller = createContextKey<Caller | Refusal | undefined>(undefined, { description: 'caller' });
export const kProject = createContextKey('', { description: 'project id' });
/** The protocol a call came by, as OpenTelemetry names it. */
export const kSystem = createContextKey<'grpc' | 'connectrpc'>('grpc', { description: 'rpc system' });
/** What a call did that its answer does not tell, and operators count: `replayed`, or the action of an audit event. */
export const kRemark = createContextKey<string | undefined>(undefined, { description: 'remark' });
/** Set while the call is traced. */
export const kTraceId = createContextKey<string | undefined>(undefined, { description: 'trace id' });
export const kWork = createContextKey<Work | undefined>(undefined, { description: 'unit of work' });

export function origin({ values }: HandlerContext): Origin {
  return values.get(kOrigin);
}

/** The project the call belongs to: the token's, or the one named by the `gatehouse-project` header. */
export function projectOf({ values }: HandlerContext): string {
  return values.get(kProject);
}

/** The user who calls. Throws AUTHENTICATION_REQUIRED, or what is wrong with the bearer, when there is none. */
export function caller(context: HandlerContext): UserCaller {
  return callerIfAny(context) ?? refuse(new Refusal('AUTHENTICATION_REQUIRED'));
}

/** The user who calls a method that works without one too. A bearer that is sent must be good. */
export function callerIfAny({ values }: HandlerContext): UserCaller | undefined {
  const found = values.get(kCaller);
  if (found instanceof Refusal) throw found;
  if (found?.kind === 'service') throw new Refusal('CALLER_NOT_ALLOWED');
  return found;
}

/** Whoever calls a method whose policy lets in users and backends. */
export function anyCaller({ values }: HandlerContext): Caller {
  const found = values.get(kCaller);
  if (!found || found instanceof Refusal) throw found ?? new Refusal('AUTHENTICATION_REQUIRED');
  return found;
}

/** The call's entity manager for reading: no transaction, no connection held between queries. */
export function reads(context: HandlerContext): EntityManager {
  return work(context).reads;
}

/** Where the call's single statements run that commit by themselves: the hot paths, each named in its own file. */
export function autocommit(context: HandlerContext): Autocommit {
  return work(context).autocommit;
}

/**
 * Runs the call's one transaction and answers with what the closure returns, once committed.
 *
 * The closure may run more than once: a serialization failure or a deadlock (40001, 40P01) repeats it on a fresh entity
 * manager. So it holds database work only: no hashing, no mail, no call to anyone. Nothing commits after the deadline.
 */
export function change<T>(context: HandlerContext, closure: (em: EntityManager) => Promise<T>): Promise<T> {
  return work(context).change(closure);
}

/** Notes what the call did, for those who count. */
export function remark({ values }: HandlerContext, what: string): void {
  values.set(kRemark, what);
}

function work({ values }: HandlerContext): Work {
  return values.get(kWork) ?? refuse(new Error('no unit of work: is its interceptor installed?'));
}

function refuse(thrown: Error): never {
  throw thrown;
}
