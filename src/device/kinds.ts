/** How a login is started and decided. Each kind has its own codes: no code of one kind is one of another. */
export type AttemptKind = 'cli' | 'device' | 'dashboard' | 'fingerprint';

export type AttemptState = 'pending' | 'claimed' | 'approved' | 'denied' | 'redeemed';

/** `cancel` is by the device that started the attempt, or by the service. `deny` is by a signed-in user. */
export type AttemptEvent = 'claim' | 'approve' | 'deny' | 'cancel' | 'redeem';

interface KindRules {
  /** Seconds until an attempt expires, unless the request says otherwise. */
  readonly lifetime: number;
  /** Seconds between two polls. */
  readonly pollInterval: number;
  /** What a polling secret begins with. Secret scanners recognize it, and it names the kind. */
  readonly pollingPrefix: string;
  /** The code has to be claimed by a device before its user can approve that device. */
  readonly isClaimedFirst: boolean;
}

/** The kinds of attempts. The flows differ in their codes, in what they ask the user, and in what they mint. */
export const kinds: Readonly<Record<AttemptKind, KindRules>> = {
  cli: { lifetime: 7200, pollInterval: 5, pollingPrefix: 'ghpc_', isClaimedFirst: false },
  device: { lifetime: 900, pollInterval: 5, pollingPrefix: 'ghpd_', isClaimedFirst: false },
  // A long code is approved from its start, and has no second step.
  dashboard: { lifetime: 900, pollInterval: 5, pollingPrefix: 'ghpr_', isClaimedFirst: true },
  fingerprint: { lifetime: 300, pollInterval: 5, pollingPrefix: 'ghpf_', isClaimedFirst: false },
};

/** Seconds that a poll which comes too early adds to the interval (RFC 8628, section 3.5). */
export const slowDownBy = 5;
/** The interval is not raised further. Polls that come too early then write nothing. */
export const longestInterval = 60;
/** Seconds by which a poll may be early: the network delays some polls more than others. */
export const pollTolerance = 0.5;

const transitions: Readonly<Record<AttemptState, Partial<Record<AttemptEvent, AttemptState>>>> = {
  pending: { claim: 'claimed', approve: 'approved', deny: 'denied', cancel: 'denied' },
  claimed: { approve: 'approved', deny: 'denied', cancel: 'denied' },
  approved: { redeem: 'redeemed', cancel: 'denied' },
  denied: {},
  redeemed: {},
};

/** The state that an event leads to. Undefined when the attempt does not admit the event. */
export function nextState(kind: AttemptKind, state: AttemptState, event: AttemptEvent): AttemptState | undefined {
  if (event === 'approve' && state === 'pending' && kinds[kind].isClaimedFirst) return undefined;
  return transitions[state][event];
}

const states = Object.keys(transitions) as AttemptState[];

/** The states in which an attempt admits an event, and the one that it then has: the condition of the write. */
export function stepOf(kind: AttemptKind, event: AttemptEvent): { from: AttemptState[]; to: AttemptState } {
  const from = states.filter((state) => nextState(kind, state, event));
  return { from, to: nextState(kind, from[0]!, event)! };
}

/** The state of an attempt for its device and its user. */
export type ShownState = AttemptState | 'expired';

/** An attempt that was neither denied nor redeemed before its end has expired. */
export function stateAt({ state, expiresAt }: { state: AttemptState; expiresAt: Date }, now: Date): ShownState {
  const isFinal = state === 'denied' || state === 'redeemed';
  return !isFinal && expiresAt <= now ? 'expired' : state;
}
