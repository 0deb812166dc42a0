import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { StepUpRequirementSchema, type UsableFactor } from '../../gen/gatehouse/v1/factor_pb.ts';
import type { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import {
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';
import { type Reason, reasons } from './reasons.ts';

/** What a session lacks for a call. */
export interface StepUp {
  /** The level that the call requires. UNSPECIFIED when that of the session is sufficient. */
  readonly required: AssuranceLevel;
  readonly current: AssuranceLevel;
  /** The most seconds since the user authenticated. Undefined when any time is accepted. */
  readonly maxAge: number | undefined;
  /** The factors that the user can verify. Empty when they have none. */
  readonly factors: readonly UsableFactor[];
}

/**
 * Why the service refused the call. A deadline or a cancellation has a reason also when the client noticed it.
 * Undefined for other errors, and for a reason that is newer than this SDK: use `error.code` then.
 */
export function reasonOf(error: unknown): Reason | undefined {
  const reason = errorInfoOf(error)?.reason ?? localReasonOf(error);
  return reasons.find((each) => each === reason);
}

/** The metadata of the reason, as the contract documents it for the method. Empty without metadata. */
export function metadataOf(error: unknown): Readonly<Record<string, string>> {
  return errorInfoOf(error)?.metadata ?? {};
}

/**
 * The invalid fields of the request by their TypeScript names (`currentPassword`, `settings.signUp`), each with sentences
 * for people: `Must be an e-mail address.` Empty when the error is not about fields.
 */
export function fieldErrors(error: unknown): Readonly<Record<string, readonly string[]>> {
  const fields: Record<string, string[]> = Object.create(null);
  for (const { fieldViolations } of detailsOf(error, BadRequestSchema))
    for (const { field, description } of fieldViolations) {
      const name = camelCase(field);
      fields[name] = [...(fields[name] ?? []), sentenceOf(description)];
    }
  return fields;
}

/** The names of the contract as protobuf-es spells them in TypeScript. */
function camelCase(text: string): string {
  return text.replace(/(?<=[a-z0-9])_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function sentenceOf(description: string): string {
  const text = camelCase(description);
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}

/** Seconds to wait before a retry, possibly a fraction. Undefined when the service does not say. */
export function retryAfter(error: unknown): number | undefined {
  const delay = detailsOf(error, RetryInfoSchema)[0]?.retryDelay;
  return delay && durationMs(delay) / 1000;
}

/**
 * What the user must do before a retry: verify one of the factors in the same session, or sign in again when there are none.
 * Undefined for errors that ask for neither.
 */
export function stepUpOf(error: unknown): StepUp | undefined {
  const requirement = detailsOf(error, StepUpRequirementSchema)[0];
  if (!requirement) return undefined;
  const { requiredAal: required, currentAal: current, maxAuthenticationAge, factors } = requirement;
  return { required, current, maxAge: maxAuthenticationAge && durationMs(maxAuthenticationAge) / 1000, factors };
}

function errorInfoOf(error: unknown): ErrorInfo | undefined {
  return detailsOf(error, ErrorInfoSchema).find(({ domain }) => domain === 'gatehouse');
}

function localReasonOf(error: unknown): Reason | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  if (error.code === Code.DeadlineExceeded) return 'DEADLINE_EXCEEDED';
  return error.code === Code.Canceled ? 'CANCELED' : undefined;
}

function detailsOf<Desc extends DescMessage>(error: unknown, schema: Desc): MessageShape<Desc>[] {
  return error instanceof ConnectError ? error.findDetails(schema) : [];
}
