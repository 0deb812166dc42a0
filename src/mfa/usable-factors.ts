import type { Autocommit } from '../database/autocommit.ts';
import type { UsableFactor } from '../errors.ts';
import { factorsOf, isUsable } from './factor.ts';
import { usableToMessage } from './message.ts';

/** The factors with which a user can raise a session, oldest first. */
export async function readUsableFactors(autocommit: Autocommit, userId: string): Promise<UsableFactor[]> {
  return (await factorsOf(autocommit, userId)).filter(isUsable).map(usableToMessage);
}
