import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FactorSchema } from '../../gen/gatehouse/v1/factor_pb.ts';
import type { Identity } from '../../gen/gatehouse/v1/user_pb.ts';
import { type ShownFactor, shownFactorsOf, withTimes } from '../mfa/factor.ts';
import { listedFactors } from '../mfa/list-factors.ts';
import { shownIdentitiesOf } from '../user/identity.ts';
import { type IdentityJson, jsonIdentityToMessage } from '../user/identity-message.ts';

/** The factors and the identities of a user, as JSON of their row. */
export interface Belongings {
  readonly factors: readonly ShownFactor[];
  readonly identities: readonly IdentityJson[];
}

/** SQL: the columns of Belongings. */
export const belongingsOf = (userId: string) =>
  `${shownFactorsOf(userId)} as factors, ${shownIdentitiesOf(userId)} as identities`;

export function factorsToMessage({ factors }: Pick<Belongings, 'factors'>): MessageInitShape<typeof FactorSchema>[] {
  return listedFactors(factors.map(withTimes));
}

export function linkedIdentities({ identities }: Pick<Belongings, 'identities'>): Identity[] {
  return identities.map(jsonIdentityToMessage);
}
