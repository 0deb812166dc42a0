import type { DescMethod } from '@bufbuild/protobuf';
import { Access, type Policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import { nameOf } from './contract.ts';
import { isReadOnly, policyOf } from './method-errors.ts';

/** The callers that a method admits, in words. */
export function callersOf(method: DescMethod): string {
  const rules = policyOf(method);
  const age = Number(rules.maxAuthenticationAge?.seconds ?? 0) / 60;
  return [
    baseOf(method),
    ...(rules.admitsServices ? ['Backends too, with a service key or a client certificate.'] : []),
    ...(rules.admitsApiKeys ? ['API keys of users are admitted.'] : []),
    ...(rules.admitsPasswordChangeRequired ? ['Users who must change their password are admitted.'] : []),
    ...(rules.admitsFactorRequired ? ['Sessions that lack a required factor are admitted.'] : []),
    ...(rules.aal2IfEnrolled ? ['Users with a second factor must have used it in the session.'] : []),
    ...(age > 0 ? [`The user must have authenticated within the last ${age} minutes.`] : []),
    ...(rules.admitsImpersonation && !isReadOnly(method) ? ['Operators who impersonate a user are admitted.'] : []),
  ].join(' ');
}

function baseOf(method: DescMethod): string {
  const { access, optionalBearer, admitsGuests } = policyOf(method);
  if (access === Access.PUBLIC) return optionalBearer ? 'Anyone. An access token is optional.' : 'Anyone.';
  if (access === Access.USER) return admitsGuests ? 'Users and guests.' : 'Registered users.';
  const backends = 'backends with a service key or a client certificate';
  return access === Access.SERVICE ? `Only ${backends}.` : `Operators, and ${backends}.`;
}

/** The default limits of a method, in words. Empty when it has none. */
export function limitsOf(method: DescMethod): string {
  const rules = policyOf(method);
  const { perMinute, perSessionPerMinute, successesPerAccountPerMinute: successes, failureLimits } = rules;
  const counted = successes ? 'failed calls' : 'calls';
  const calls = [
    ...(perMinute ? [`${perMinute} ${counted} per minute and client address`] : []),
    ...(successes ? [`${successes} successful calls per minute, client address and account`] : []),
    ...(perSessionPerMinute ? [`${perSessionPerMinute} calls per minute and session`] : []),
    ...(rules.unknownCodesPerMinute ? [unknownCodes(rules)] : []),
  ].join(', ');
  if (!failureLimits) return calls && `${calls}.`;
  const { perAccount, consecutive, perNetwork, perProject } = failureLimits;
  const subject = nameOf(method) === 'MfaService.VerifyFactor' ? 'factor' : 'email address';
  const failures = [
    `${perAccount} per ${subject}`,
    `${consecutive} consecutive per ${subject}`,
    ...(perNetwork ? [`${perNetwork} per minute and network`] : []),
    ...(perProject ? [`${perProject} per minute and project`] : []),
  ].join(', ');
  return `${calls}. Failed attempts: ${failures} ([docs/throttling.md](throttling.md)).`;
}

function unknownCodes({ access, unknownCodesPerMinute: most }: Policy): string {
  const alone = `${most} unknown codes per minute and client address`;
  return access === Access.USER ? `${alone}, and per minute and user` : alone;
}

/** The shell variable with the credential that the example of a method sends. */
export function credentialOf(method: DescMethod): 'access' | 'operator' | 'service' | undefined {
  // A service key cannot impersonate.
  if (nameOf(method) === 'AdminService.ImpersonateUser') return 'operator';
  const { access } = policyOf(method);
  if (access === Access.PUBLIC) return undefined;
  return access === Access.USER ? 'access' : 'service';
}
