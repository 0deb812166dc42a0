import { type DescMethod, getOption, hasOption } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Access, AssuranceLevel, type Policy, policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import type { Contract } from './contract.ts';

/** A reason that a method can give, and when, as a comment of the protos says it. */
export interface DocumentedError {
  readonly reason: string;
  readonly sentence: string;
}

export interface MethodErrors {
  /** Those in the comment of the method. */
  readonly own: readonly DocumentedError[];
  /** Those that follow from its policy and that its comment does not explain itself. */
  readonly byPolicy: readonly DocumentedError[];
}

const ownHeading = 'Errors:';
const commonHeading = 'Errors that every method can return:';
const policyHeading = 'Errors that follow from the policy of the method:';

const policyName = 'gatehouse.v1.Policy';

/** The reasons of every method, from the comment of Policy. */
export function commonErrors(contract: Contract): readonly DocumentedError[] {
  return listUnder(contract.commentOf(policyName), commonHeading);
}

/** The reasons that follow from some policy, from the comment of Policy. */
export function policyErrors(contract: Contract): readonly DocumentedError[] {
  return listUnder(contract.commentOf(policyName), policyHeading);
}

export function errorsOf(contract: Contract, method: DescMethod): MethodErrors {
  const own = listUnder(contract.commentOf(`${method.parent.typeName}.${method.name}`), ownHeading);
  const documented = policyErrors(contract);
  const following = reasonsFrom(policyOf(method), isReadOnly(method)).map((reason) => {
    const found = documented.find((each) => each.reason === reason);
    if (!found) throw new Error(`the comment of ${policyName} does not list ${reason}`);
    return found;
  });
  return { own, byPolicy: following.filter(({ reason }) => !own.some((each) => each.reason === reason)) };
}

export function policyOf(method: DescMethod): Policy {
  if (!hasOption(method, policy)) throw new Error(`${method} has no policy`);
  return getOption(method, policy);
}

/** The paragraphs of a comment without its lists of errors, each on one line. */
export function paragraphsOf(comment: string): string[] {
  const paragraphs = comment.split('\n\n').map((each) => each.replaceAll('\n', ' '));
  return paragraphs.filter((each) => ![ownHeading, commonHeading, policyHeading].some((head) => each.startsWith(head)));
}

function listUnder(comment: string, heading: string): DocumentedError[] {
  const [, list = ''] = comment.split(`${heading}\n`);
  const items = list.split('\n\n')[0]!.split(/^- /m).slice(1);
  return items.map((item) => {
    const [, reason, sentence] = /^([A-Z0-9_]+): (.*)$/s.exec(item.trim()) ?? [];
    if (!reason || !sentence) throw new Error(`not a reason and a sentence: ${item}`);
    return { reason, sentence: sentence.replace(/\s+/g, ' ') };
  });
}

/** The reasons that src/rpc/authenticate.ts, src/rpc/policy.ts and the look-up of the session can give. */
function reasonsFrom(rules: Policy, isReadOnly: boolean): string[] {
  const readsCaller = rules.access !== Access.PUBLIC || rules.optionalBearer;
  if (!readsCaller) return [];
  const takesUsers = rules.access === Access.USER || rules.access === Access.ADMIN;
  const holdsBack = (takesUsers || rules.optionalBearer) && !rules.admitsPasswordChangeRequired;
  return [
    ...(rules.access === Access.PUBLIC ? [] : ['AUTHENTICATION_REQUIRED']),
    ...['TOKEN_INVALID', 'API_KEY_INVALID', 'TOKEN_EXPIRED', 'TOKEN_SUPERSEDED', 'SESSION_EXPIRED', 'SESSION_REVOKED'],
    ...['PROJECT_MISMATCH', 'CALLER_NOT_ALLOWED'],
    ...(isReadOnly || rules.admitsImpersonation ? [] : ['IMPERSONATION_NOT_ALLOWED']),
    ...(takesUsers && !rules.admitsGuests ? ['GUEST_NOT_ALLOWED'] : []),
    ...(holdsBack ? ['PASSWORD_CHANGE_REQUIRED'] : []),
    ...((takesUsers || rules.optionalBearer) && !rules.admitsFactorRequired ? ['FACTOR_REQUIRED'] : []),
    ...(rules.minAssurance === AssuranceLevel.AAL2 || rules.aal2IfEnrolled || rules.access === Access.ADMIN
      ? ['INSUFFICIENT_AAL']
      : []),
    ...(rules.maxAuthenticationAge ? ['REAUTHENTICATION_REQUIRED'] : []),
    ...(rules.access === Access.SERVICE ? [] : ['USER_NOT_FOUND']),
  ];
}

export function isReadOnly(method: DescMethod): boolean {
  return method.idempotency === Idempotency.NO_SIDE_EFFECTS;
}
