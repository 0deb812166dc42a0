import { create, type Message } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { StepUpRequirementSchema } from '../../gen/gatehouse/v1/factor_pb.ts';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';
import { type DatabaseFault, describeFault } from '../database/fault.ts';
import { faultOf } from '../database/sqlstate.ts';
import { type FieldViolation, type Reason, Refusal, type StepUp } from '../errors.ts';
import type { LogBug } from './bug.ts';
import { kOrigin } from './context.ts';
import { throughStream } from './messages.ts';

const errorDomain = 'gatehouse';

/** Converts everything that a call throws into an error for its client. An unexpected error is INTERNAL, and logged. */
export function errors(
  logBug: LogBug,
  logFault: (fault: DatabaseFault, requestId: string) => void = () => {},
): Interceptor {
  const explain = (thrown: unknown, requestId: string): ConnectError => {
    const refusal = toRefusal(thrown);
    if (refusal.reason === 'INTERNAL') logBug(thrown, requestId);
    const fault = refusal.reason === 'DATABASE_UNAVAILABLE' ? describeFault(thrown) : undefined;
    if (fault) logFault(fault, requestId);
    return toConnectError(refusal);
  };
  return (next) => async (req) => {
    const { requestId } = req.contextValues.get(kOrigin);
    try {
      const convert = (messages: AsyncIterable<Message>) =>
        converting(messages, (thrown) => explain(thrown, requestId));
      return throughStream(await next(req), convert);
    } catch (thrown) {
      throw explain(thrown, requestId);
    }
  };
}

async function* converting(messages: AsyncIterable<Message>, convert: (thrown: unknown) => ConnectError) {
  try {
    yield* messages;
  } catch (thrown) {
    throw convert(thrown);
  }
}

/** The error for its client. The errors interceptor throws ConnectErrors only; health and reflection run without it. */
export function connectErrorOf(thrown: unknown): ConnectError {
  return thrown instanceof ConnectError ? thrown : toConnectError(toRefusal(thrown));
}

/** Whether nothing explains what was thrown. What the interceptors throw is a ConnectError: they have logged its cause. */
export function isBug(thrown: unknown): boolean {
  return !(thrown instanceof ConnectError) && toRefusal(thrown).reason === 'INTERNAL';
}

/** Logs what was thrown outside the interceptors, if it is a bug. */
export function reportBug(logBug: LogBug, thrown: unknown, requestId: string): void {
  if (isBug(thrown)) logBug(thrown, requestId);
}

/** The refusal for anything that was thrown. */
export function toRefusal(thrown: unknown): Refusal {
  if (thrown instanceof Refusal) return thrown;
  if (thrown instanceof ConnectError) return new Refusal(reasonOfCode(thrown.code), { cause: thrown });
  // A client that disconnects aborts the call's signal without a reason.
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
 * The reason for an error that a transport library raised. The libraries call an unreadable body an internal error; it
 * is an error of the client.
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

/** The error as it is sent: always with google.rpc.ErrorInfo, and with each other detail, where it applies, once. */
export function toConnectError(refusal: Refusal): ConnectError {
  const { metadata = {}, retryAfter, fields, stepUp } = refusal.options;
  const error = withoutStack(() => new ConnectError(refusal.message, refusal.code, undefined, undefined, refusal));
  const info = create(ErrorInfoSchema, { reason: refusal.reason, domain: errorDomain, metadata });
  error.details.push({ desc: ErrorInfoSchema, value: info });
  if (fields) error.details.push({ desc: BadRequestSchema, value: { fieldViolations: distinct(fields) } });
  if (refusal.reason === 'INSUFFICIENT_AAL')
    error.details.push({ desc: PreconditionFailureSchema, value: { violations: [levelViolation(metadata)] } });
  if (stepUp) error.details.push({ desc: StepUpRequirementSchema, value: requirementOf(stepUp) });
  if (retryAfter !== undefined) {
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(Math.ceil(retryAfter * 1000)) } });
    error.metadata.set('retry-after', `${Math.ceil(retryAfter)}`);
  }
  return error;
}

/**
 * Each violation once: the fields and rules of the contract bound their number. Attack: a list of thousands of bad values is a
 * small request. Its error would be a megabyte, and no gRPC client reads that much in trailers.
 */
function distinct(violations: readonly FieldViolation[]): FieldViolation[] {
  return [...new Map(violations.map((each) => [`${each.field} ${each.description}`, each])).values()];
}

/** A stack costs more than the rest of the error. */
function withoutStack(open: () => ConnectError): ConnectError {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = open();
  Error.stackTraceLimit = stackTraceLimit;
  return error;
}

function levelViolation({ required_aal, current_aal }: Record<string, string>) {
  return { type: 'ASSURANCE_LEVEL', subject: required_aal!, description: `the session is at ${current_aal}` };
}

function requirementOf({ requiredAal = 0, currentAal, maxAge, factors = [] }: StepUp) {
  const maxAuthenticationAge = maxAge === undefined ? undefined : durationFromMs(maxAge * 1000);
  return { requiredAal, currentAal, factors: [...factors], ...(maxAuthenticationAge && { maxAuthenticationAge }) };
}
