import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FactorSchema } from '../../gen/gatehouse/v1/factor_pb.ts';
import { autocommit, caller } from '../rpc/context.ts';
import type { MfaMethods } from './deps.ts';
import { type FactorRow, factorsOf } from './factor.ts';
import { factorToMessage } from './message.ts';

export const listFactors: MfaMethods['listFactors'] = async (_, context) => {
  return { factors: listedFactors(await factorsOf(autocommit(context), caller(context).userId)) };
};

/** The factors as their user lists them. Passkeys are listed by ListPasskeys. */
export function listedFactors(factors: readonly FactorRow[]): MessageInitShape<typeof FactorSchema>[] {
  return factors.filter(({ type }) => type !== 'passkey').map(factorToMessage);
}
