import type { HandlerContext } from '@connectrpc/connect';
import type { Autocommit } from '../database/autocommit.ts';
import { Coalescer, unlessInConflict } from '../database/coalesce.ts';
import { Refusal } from '../errors.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import type { Attempt } from './attempt-table.ts';
import { hashPollingSecret, isSecret } from './codes.ts';
import { type AttemptKind, kinds, type ShownState, stateAt } from './kinds.ts';
import {
  columnsOf,
  findByPolling,
  type Poll,
  type Polled,
  pollMany,
  pollOne,
  type Waiting,
} from './poll-statements.ts';

/** An attempt as a poll found it: one that waits for a decision, or any other. */
export type PollResult =
  | (Waiting & { readonly attempt?: undefined })
  | { readonly state: Exclude<ShownState, Waiting['state']>; readonly attempt: Attempt };

/** A poll that waits for a statement. */
interface Candidate extends Poll {
  readonly signal: AbortSignal | undefined;
}

/** Polls attempts. Many devices wait at a time, so concurrent polls share a statement. */
export class LoginPolls {
  readonly #coalescer: Coalescer<Candidate, PollResult | undefined>;

  constructor(shared: Autocommit) {
    this.#coalescer = new Coalescer<Candidate, PollResult | undefined>((candidates) =>
      pollTogether(shared, candidates),
    );
  }

  /**
   * Polls the attempt of a polling secret. Undefined for a secret that was never issued, or of another kind or project.
   *
   * Throws SLOW_DOWN when an attempt that waits for a decision is polled before its interval is over. The interval of this
   * attempt is then 5 seconds longer (RFC 8628, section 3.5). A decided or expired attempt never is.
   */
  async poll(context: HandlerContext, kind: AttemptKind, secret: string, now: Date): Promise<PollResult | undefined> {
    if (!isSecret(kinds[kind].pollingPrefix, secret)) return undefined;
    const projectId = projectOf(context);
    const poll = { projectId, kind, pollingHash: hashPollingSecret(projectId, kind, secret), now };
    const on = autocommit(context);
    return this.#coalescer.take({ ...poll, signal: on.signal }, async () => {
      const [found] = await pollOne(on, poll);
      return found && resultOf(found, now);
    });
  }
}

function resultOf({ isEarly, ...attempt }: Polled, now: Date): PollResult {
  const { comparison, pollInterval } = attempt;
  if (isEarly) throw new Refusal('SLOW_DOWN', { retryAfter: pollInterval });
  const state = stateAt(attempt, now);
  if (state === 'pending' || state === 'claimed') return { state, comparison, pollInterval };
  return { state, attempt };
}

/** The polls of waiting attempts that are in time. Of several polls of one attempt that is the first. */
async function pollTogether(shared: Autocommit, all: readonly Candidate[]): Promise<Map<Candidate, PollResult>> {
  const byHash = new Map(
    all
      .filter(isCalling)
      .toReversed()
      .map((each) => [each.pollingHash.toString('hex'), each]),
  );
  if (byHash.size === 0) return new Map();
  const rows = await unlessInConflict(() => pollMany(shared, () => columnsOf([...byHash.values()].filter(isCalling))));
  return new Map(rows?.map(({ pollingHash, ...waiting }) => [byHash.get(pollingHash.toString('hex'))!, waiting]));
}

function isCalling({ signal }: Candidate): boolean {
  return !signal?.aborted;
}

/** The attempt of a polling secret, without a poll. */
export async function findByPollingSecret(
  context: HandlerContext,
  kind: AttemptKind,
  secret: string,
): Promise<Attempt | undefined> {
  const projectId = projectOf(context);
  const pollingHash = hashPollingSecret(projectId, kind, secret);
  const [attempt] = await findByPolling(autocommit(context), { projectId, kind, pollingHash });
  return attempt;
}
