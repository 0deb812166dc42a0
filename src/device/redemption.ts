import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { autocommit, change, remark } from '../rpc/context.ts';
import { lockUser, type User } from '../user/user.ts';
import { advance } from './attempt.ts';
import { type Attempt, attemptColumns } from './attempt-table.ts';
import { hashNonce, type Possession } from './codes.ts';
import { type ShownState, stateAt } from './kinds.ts';

/** What an attempt mints: a session or an API key. */
export interface Credential<Response> {
  readonly kind: 'session' | 'api_key';
  /** Inserts the credential of the user under this id, in the transaction of the redemption. Hashes and remote calls come before. */
  readonly mint: (em: EntityManager, user: User, id: string, attempt: Attempt) => Promise<Response>;
  /** The response again, or undefined when the credential was used or has ended. Outside a transaction. */
  readonly repeat: (attempt: MintedAttempt) => Promise<Response | undefined>;
}

/** An attempt that was redeemed. */
export interface MintedAttempt extends Attempt {
  readonly userId: string;
  readonly mintedId: string;
}

/** Either a response, or the state of an attempt that cannot be redeemed now. */
export type Redeemed<Response> =
  | { readonly state: 'approved'; readonly response: Response }
  | { readonly state: Exclude<ShownState, 'approved'>; readonly response?: undefined };

/** The possession of a device that sent this secret, and a nonce or none. */
export function possessionOf(secret: string, nonce: string): Possession {
  return { secret, nonce: nonce || randomBytes(32).toString('base64url') };
}

/** The attempt was not in the state that the call had read. */
class DecidedMeanwhile extends Error {}

/**
 * Redeems an approved attempt, or repeats its response for the nonce of the redemption, until what it minted is used or
 * the attempt expires. All other states are returned as they are.
 *
 * Of any number of calls one redeems. The transaction runs for the session that approved: its user is locked first, and the
 * session has to be live. So a ban, a deletion, a revocation or a sign-out between the approval and the redemption wins,
 * and the attempt counts as denied.
 */
export async function redeem<Response>(
  context: HandlerContext,
  { attempt, possession }: { attempt: Attempt; possession: Possession },
  credential: Credential<Response>,
  now: Date,
): Promise<Redeemed<Response>> {
  const nonceHash = hashNonce(attempt.id, possession.nonce);
  const state = stateAt(attempt, now);
  if (state === 'redeemed') return repeat(context, { attempt, nonceHash }, credential, now);
  if (state !== 'approved') return { state };
  try {
    return { state, response: await mint(context, { attempt, nonceHash }, credential, now) };
  } catch (thrown) {
    if (isEndOfSession(thrown)) return { state: 'denied' };
    if (!(thrown instanceof DecidedMeanwhile)) throw thrown;
    const current = await readAttempt(context, attempt);
    const currentState = current ? stateAt(current, now) : 'expired';
    if (current && currentState === 'redeemed')
      return repeat(context, { attempt: current, nonceHash }, credential, now);
    if (currentState === 'approved') throw new Refusal('TRY_AGAIN');
    return { state: currentState };
  }
}

interface NoncedAttempt {
  readonly attempt: Attempt;
  readonly nonceHash: Buffer;
}

function mint<Response>(
  context: HandlerContext,
  { attempt, nonceHash }: NoncedAttempt,
  credential: Credential<Response>,
  now: Date,
): Promise<Response> {
  const { projectId, userId, approverSessionId, approverEpoch } = attempt;
  const approver = { userId: userId!, sessionId: approverSessionId!, tokenEpoch: approverEpoch! };
  const mintedId = uuidv7(now);
  return change(
    context,
    async (em) => {
      const sessionId = credential.kind === 'session' ? mintedId : undefined;
      const step = { event: 'redeem', by: approver.userId, sessionId, changes: { mintedId, nonceHash } } as const;
      if (!(await advance(em, context, attempt, step, now))) throw new DecidedMeanwhile();
      const user = await lockUser(em, projectId, approver.userId);
      return credential.mint(em, user, mintedId, attempt);
    },
    { onBehalfOf: approver },
  );
}

/** Whether `change` refused the session on whose behalf it was to run. */
export function isEndOfSession(thrown: unknown): boolean {
  if (!(thrown instanceof Refusal)) return false;
  return ['SESSION_REVOKED', 'SESSION_EXPIRED', 'TOKEN_SUPERSEDED', 'USER_NOT_FOUND'].includes(thrown.reason);
}

async function repeat<Response>(
  context: HandlerContext,
  { attempt, nonceHash }: NoncedAttempt,
  credential: Credential<Response>,
  now: Date,
): Promise<Redeemed<Response>> {
  const { userId, mintedId, nonceHash: stored, expiresAt } = attempt;
  const isSame = stored !== undefined && stored !== null && timingSafeEqual(stored, nonceHash);
  if (!isSame || !userId || !mintedId || expiresAt <= now) return { state: 'redeemed' };
  const response = await credential.repeat({ ...attempt, userId, mintedId });
  if (!response) return { state: 'redeemed' };
  remark(context, 'replayed');
  return { state: 'approved', response };
}

const read = statement<Attempt, { projectId: string; id: string }>(
  'login_attempt_read',
  `select ${attemptColumns} from login_attempts a where a.project_id = :projectId and a.id = :id`,
);

async function readAttempt(context: HandlerContext, { projectId, id }: Attempt): Promise<Attempt | undefined> {
  const [current] = await read(autocommit(context), { projectId, id });
  return current;
}
