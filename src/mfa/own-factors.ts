import { ownRead } from '../session/own-read.ts';
import { type FactorRow, remainingCodesOf, withTimes } from './factor.ts';

/** What the methods show of a factor. */
export type ShownFactor = Pick<
  FactorRow,
  'id' | 'type' | 'friendlyName' | 'verifiedAt' | 'createdAt' | 'lastUsedAt' | 'remainingCodes'
>;

/** The factors of the caller, for methods that return them. */
export const ownFactors = ownRead<{ factors: ShownFactor[] }>(
  'session_states_factors',
  `coalesce((select json_agg(json_build_object('id', f.id, 'type', f.type, 'friendlyName', f.friendly_name,
       'verifiedAt', f.verified_at, 'createdAt', f.created_at, 'lastUsedAt', f.last_used_at,
       'remainingCodes', ${remainingCodesOf('f', 'named.user_id')}) order by f.id)
     from factors f where f.user_id = named.user_id), '[]') as factors`,
);

/** All factors and passkeys of the caller, oldest first. */
export function factorsFor(context: Parameters<typeof ownFactors.of>[0]): ShownFactor[] {
  return ownFactors.of(context).factors.map(withTimes);
}
