import { ownRead } from '../session/own-read.ts';
import { type ShownFactor, shownFactorsOf, withTimes } from './factor.ts';

/** The factors of the caller, for methods that return them. */
export const ownFactors = ownRead<{ factors: ShownFactor[] }>(
  'session_states_factors',
  `${shownFactorsOf('named.user_id')} as factors`,
);

/** All factors and passkeys of the caller, oldest first. */
export function factorsFor(context: Parameters<typeof ownFactors.of>[0]): ShownFactor[] {
  return ownFactors.of(context).factors.map(withTimes);
}
