import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FactorSchema } from '../../gen/gatehouse/v1/factor_pb.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { autocommit, caller } from '../rpc/context.ts';
import type { MfaMethods } from './deps.ts';
import { factorsOf } from './factor.ts';
import { factorToMessage } from './message.ts';

export const listFactors: MfaMethods['listFactors'] = async (_, context) => {
  return { factors: await readOwnFactors(autocommit(context), caller(context).userId) };
};

/** The factors of a user, oldest first. Their passkeys are listed by ListPasskeys. */
export async function readOwnFactors(
  autocommit: Autocommit,
  userId: string,
): Promise<MessageInitShape<typeof FactorSchema>[]> {
  return (await factorsOf(autocommit, userId)).filter(({ type }) => type !== 'passkey').map(factorToMessage);
}
