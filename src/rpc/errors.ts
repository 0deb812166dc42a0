import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';
import { faultOf } from '../database/sqlstate.ts';
import { type Reason, Refusal } from '../errors.ts';
import { kOrigin } from './context.ts';

export const errorDomain = 'gatehouse';

/** SessionMutex whatever a call threw into what its client may see. What is nobody's deliberate no goes to the log. */
export function errors(logBug: (cause: unknown, requestId: string) => void): Interceptor {
  return (next) => async (req) => {
    try {
      return await next(req);
    } catch (thrown) {
      const refusal = toRefusal(thrown);
      if (refusal.reason === 'INTERNAL') logBug(thrown, req.contextValues.get(kOrigin).requestId);
      throw toConnectError(refusal);
    }
  };
}

/** The refusal behind anything thrown. */
export function toRefusal(thrown: unknown): Refusal {
  if (thrown instanceof Refusal) return thrown;
  if (thrown instanceof ConnectError) return new Refusal(reasonOfCode(thrown.code), { cause: thrown });
  // A client that hangs up aborts the call's signal without saying why.
  if (thrown instanceof DOMException && thrown.name === 'AbortError') return new Refusal('CANCELED', { cause: thrown });
  const reason = reasonOfFault(thrown);
  return new Refusal(reason, { cause: thrown, ...(reason === 'DATABASE_UNAVAILABLE' && { retryAfter: 1 }) });
}

function reasonOfFault(thrown: unknown): Reason {
  switch (faultOf(thrown)) {
    case 'unavailable':
    case 'timeout':
      return 'DATABASE_UNAVAILABLE';
    case 'conflict':
      return 'TRY_AGAIN';
    case 'bad-input':
      return 'INVALID_ARGUMENT';
    default:
      return 'INTERNAL';
  }
}

/**
 * The reason for an error that a transport raised before or beside our own code. A body that cannot be read is the
 * client's doing, though the libraries call it internal.
 */
export function reasonOfCode(code: Code): Reason {
  switch (code) {
    case Code.Canceled:
    case Code.Aborted:
      return 'CANCELED';
    case Code.DeadlineExceeded:
      return 'DEADLINE_EXCEEDED';
    case Code.ResourceExhausted:
      return 'REQUEST_TOO_LARGE';
    case Code.Unimplemented:
      return 'ENCODING_NOT_SUPPORTED';
    case Code.Unavailable:
      return 'SHUTTING_DOWN';
    default:
      return 'MALFORMED_REQUEST';
  }
}

/** The error as it goes over the wire: google.rpc.ErrorInfo always, the other details where they fit, each once. */
export function toConnectError(refusal: Refusal): ConnectError {
  const { metadata = {}, retryAfter, fields } = refusal.options;
  const error = new ConnectError(refusal.message, refusal.code, undefined, undefined, refusal);
  const info = create(ErrorInfoSchema, { reason: refusal.reason, domain: errorDomain, metadata });
  error.details.push({ desc: ErrorInfoSchema, value: info });
  if (fields) error.details.push({ desc: BadRequestSchema, value: { fieldViolations: [...fields] } });
  if (refusal.reason === 'INSUFFICIENT_AAL')
    error.details.push({ desc: PreconditionFailureSchema, value: { violations: [stepUp(metadata)] } });
  if (retryAfter !== undefined) {
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(Math.ceil(retryAfter * 1000)) } });
    error.metadata.set('retry-after', `${Math.ceil(retryAfter)}`);
  }
  return error;
}

function stepUp({ required_aal, current_aal }: Record<string, string>) {
  return { type: 'ASSURANCE_LEVEL', subject: required_aal!, description: `the session is at ${current_aal}` };
}

/** What the log may hold of a bug: no message of a database error, since MikroORM writes the statement's values into it. */
export function describeBug(thrown: unknown): object {
  if (!(thrown instanceof Error)) return { type: typeof thrown };
  const { name, stack = '', cause, code, constraint, table } = thrown as Error & Record<string, string | undefined>;
  // A statement of several lines may hold one that looks like a frame.
  const frames = stack
    .replace(thrown.message, () => '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line));
  const isQuery = code !== undefined || name.endsWith('Exception');
  return {
    name,
    ...(isQuery ? { code, constraint, table } : { message: thrown.message }),
    frames: frames.slice(0, 12).map((line) => line.trim()),
    ...(cause instanceof Error && { cause: describeBug(cause) }),
  };
}
