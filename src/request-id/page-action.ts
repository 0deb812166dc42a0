import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { defaultProjectId } from '../project/project.ts';
import { claimRequest } from './request-id-table.ts';

/** An action of a page that its user has confirmed. */
interface PageAction {
  readonly id: string;
  readonly userId: string;
  /** When the action can no longer be confirmed. Its id is kept until then. */
  readonly expiresAt: Date;
}

/** Returns true for one of all calls with the same action. */
export type ClaimPageAction = (action: PageAction) => Promise<boolean>;

/**
 * Takes the id of an action before the action is performed. Of any number of calls on any replica, one returns true: two
 * valid codes at the same moment confirm the action once. An action whose replica dies here is not performed.
 */
export function pageActions(autocommit: Autocommit, now: Clock): ClaimPageAction {
  return ({ id, userId, expiresAt }) => {
    const key = { projectId: defaultProjectId, caller: `user:${userId}`, method: 'page action', requestId: id };
    // The action itself is in the encrypted form, so there is no other content that could come with its id.
    return claimRequest(autocommit, { ...key, requestMac: Buffer.alloc(0), expiresAt }, now());
  };
}
