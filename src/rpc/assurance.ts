import { Refusal } from '../errors.ts';
import type { UserCaller } from './context.ts';

/** What an action requires of the session in which it is called. */
export interface AssuranceNeeds {
  /** Two factors, of everybody or of users who have a verified second factor. */
  readonly secondFactor?: 'always' | 'if enrolled' | undefined;
  /** Seconds since the user authenticated, at most. */
  readonly maxAge?: number | undefined;
}

type Assured = Pick<UserCaller, 'aal' | 'hasFactor' | 'authenticatedAt'>;

/**
 * Decides whether a session may do something at its assurance level and age. No other file compares levels. Throws
 * INSUFFICIENT_AAL and REAUTHENTICATION_REQUIRED.
 */
export function requireAssurance(caller: Assured, needs: AssuranceNeeds, now: Date): void {
  requireLevel(caller, needs);
  const { aal, authenticatedAt } = caller;
  const { maxAge } = needs;
  if (maxAge !== undefined && !isRecent(authenticatedAt, maxAge, now))
    throw new Refusal('REAUTHENTICATION_REQUIRED', {
      metadata: { max_age_seconds: `${maxAge}` },
      stepUp: { currentAal: aal, maxAge },
    });
}

/** Whether a user authenticated at most so many seconds ago. */
export function isRecent(authenticatedAt: Date, maxAge: number, now: Date): boolean {
  return now.getTime() - authenticatedAt.getTime() <= maxAge * 1000;
}

/** Decides by the level alone. Throws INSUFFICIENT_AAL. */
export function requireLevel(
  { aal, hasFactor }: Pick<UserCaller, 'aal' | 'hasFactor'>,
  { secondFactor, maxAge }: AssuranceNeeds,
): void {
  const needsTwo = secondFactor === 'always' || (secondFactor === 'if enrolled' && hasFactor);
  if (!needsTwo || aal >= 2) return;
  throw new Refusal('INSUFFICIENT_AAL', {
    metadata: { required_aal: 'aal2', current_aal: `aal${aal}` },
    stepUp: { requiredAal: 2, currentAal: aal, maxAge },
  });
}

/**
 * Throws CALLER_NOT_ALLOWED for the session of a device or a program that another session has approved, unless a factor was
 * verified in it. Such a session adds, replaces and removes no way to sign in, creates no API key, and approves no device.
 *
 * Attack: a user who is made to approve the device of an attacker would also hand out a passkey, a factor, an identity, the
 * password, an API key or a second device, and these stay when the device is revoked.
 */
export function requireOwnSignIn({ sessionKind, aal, isGuest }: Pick<UserCaller, 'sessionKind' | 'aal' | 'isGuest'>) {
  const isApproved = sessionKind === 'cli' || sessionKind === 'device';
  if (isApproved && aal < 2 && !isGuest) throw new Refusal('CALLER_NOT_ALLOWED');
}

/** MFA_REQUIRED_FOR and MFA_ENROLMENT_GRACE. */
export interface FactorRequirement {
  readonly requiredFor: 'none' | 'operators' | 'everyone';
  /** Seconds after the creation of a user without a factor. */
  readonly grace: number;
}

/** What the requirement of a second factor depends on: parts of a session and of its user. */
export interface FactorFacts {
  /** Undefined for an API key. */
  readonly sessionKind: string | undefined;
  readonly aal: number;
  readonly hasFactor: boolean;
  readonly isOperator: boolean;
  readonly isGuest: boolean;
  readonly impersonatorId: string | null | undefined;
  /** When the user was created, in seconds since 1970. */
  readonly userSince: number;
  /** The session was opened on a device that the user trusts. */
  readonly isOnTrustedDevice: boolean;
}

/**
 * Decides whether a session lacks the factor that its user must have. Such a session is restricted: its tokens are for this
 * service alone, which admits them to the methods that lead to the factor. Sessions of command line tools and devices were
 * approved in another session.
 */
export function lacksFactor({ requiredFor, grace }: FactorRequirement, session: FactorFacts, now: Date): boolean {
  const { sessionKind, aal, hasFactor, isOperator, isGuest, impersonatorId, userSince, isOnTrustedDevice } = session;
  if (requiredFor === 'none' || (requiredFor === 'operators' && !isOperator)) return false;
  if (aal >= 2 || isGuest || impersonatorId) return false;
  if (sessionKind !== 'web' && sessionKind !== 'native') return false;
  if (hasFactor && isOnTrustedDevice) return false;
  return hasFactor || now.getTime() / 1000 - userSince >= grace;
}

/** Throws FACTOR_REQUIRED for a restricted session. */
export function requireFactor(requirement: FactorRequirement, caller: UserCaller, now: Date): void {
  if (!caller.hasRestrictedToken && !lacksFactor(requirement, caller, now)) return;
  const { aal } = caller;
  throw new Refusal('FACTOR_REQUIRED', {
    metadata: { required_aal: 'aal2', current_aal: `aal${aal}` },
    stepUp: { requiredAal: 2, currentAal: aal },
  });
}
