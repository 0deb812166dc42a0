import type { HandlerContext } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { autocommit, caller } from '../rpc/context.ts';
import { type FactorRow, findFactor } from './factor.ts';

/**
 * A factor of the caller. Throws FACTOR_NOT_FOUND for the factor of another user as for one that does not exist, so that ids
 * cannot be probed.
 */
export async function requireOwnFactor(context: HandlerContext, id: string): Promise<FactorRow> {
  const factor = await findFactor(autocommit(context), caller(context).userId, id);
  if (!factor) throw new Refusal('FACTOR_NOT_FOUND');
  return factor;
}
