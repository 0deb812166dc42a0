import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FactorSchema } from '../../gen/gatehouse/v1/factor_pb.ts';
import type { MfaMethods } from './deps.ts';
import type { ShownFactor } from './factor.ts';
import { factorToMessage } from './message.ts';
import { factorsFor } from './own-factors.ts';

export const listFactors: MfaMethods['listFactors'] = (_, context) => ({ factors: listedFactors(factorsFor(context)) });

/** The factors as their user lists them. Passkeys are listed by ListPasskeys. */
export function listedFactors(factors: readonly ShownFactor[]): MessageInitShape<typeof FactorSchema>[] {
  return factors.filter(({ type }) => type !== 'passkey').map(factorToMessage);
}
