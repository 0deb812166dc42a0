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
  if (maxAge !== undefined && now.getTime() - authenticatedAt.getTime() > maxAge * 1000)
    throw new Refusal('REAUTHENTICATION_REQUIRED', {
      metadata: { max_age_seconds: `${maxAge}` },
      stepUp: { currentAal: aal, maxAge },
    });
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
