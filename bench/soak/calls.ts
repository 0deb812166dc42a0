import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import type { Clients } from '../../src/sdk/clients.ts';
import type { Findings } from './findings.ts';
import type { Replica } from './replica.ts';

export interface Options {
  readonly timeoutMs: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Send<T> = (clients: Clients, options: { timeoutMs: number }) => Promise<T>;

/** What became of a call: it was acknowledged, refused, or nobody knows. */
export type Outcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

/** An outcome that is known, and whether an earlier attempt may have taken effect. */
export type Settled<T> = Exclude<Outcome<T>, { kind: 'unknown' }> & { readonly isRepeated: boolean };

interface Tally {
  calls: number;
  ok: number;
  refused: number;
  unknown: number;
  readonly latencies: number[];
}

/** With these the service says that it has done nothing and that the call may be repeated. */
const harmless = ['SERVER_BUSY', 'SHUTTING_DOWN', 'TRY_AGAIN', 'OVER_CAPACITY', 'OVER_REQUEST_RATE_LIMIT', 'SLOW_DOWN'];
const uncertain = [Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Aborted, Code.Internal, Code.Unknown];
/** Longer than any fault. */
const patience = 120_000;
const ordinaryDeadline = 4000;

/** Makes calls on random replicas over random protocols, and counts their outcomes. */
export class Calls {
  readonly tallies = new Map<string, Tally>();
  /** How often each method failed for each reason. */
  readonly reasons = new Map<string, number>();
  readonly #replicas: readonly Replica[];
  readonly #findings: Findings;
  readonly #random: () => number;

  constructor(replicas: readonly Replica[], findings: Findings, random: () => number) {
    this.#replicas = replicas;
    this.#findings = findings;
    this.#random = random;
  }

  get total(): number {
    return [...this.tallies.values()].reduce((sum, { calls }) => sum + calls, 0);
  }

  /** Makes a call once. A few have a deadline that is too short. */
  async once<T>(method: string, send: Send<T>, replica = this.#pick()): Promise<Outcome<T>> {
    const tally = this.#tallyOf(method);
    const timeoutMs = this.#random() < 0.04 ? 5 + this.#random() * 60 : ordinaryDeadline;
    const startedAt = performance.now();
    tally.calls++;
    try {
      const wire = this.#random() < 0.5 ? 'grpc' : 'json';
      const value = await send(replica.clients(wire), { timeoutMs: Math.round(timeoutMs) });
      tally.latencies.push(performance.now() - startedAt);
      tally.ok++;
      return { kind: 'ok', value };
    } catch (thrown) {
      return this.#fail(method, tally, thrown);
    }
  }

  /** Repeats a call until its outcome is known. The call must have the same effect however often it is made. */
  async settle<T>(method: string, send: Send<T>): Promise<Settled<T>> {
    const giveUpAt = performance.now() + patience;
    for (let isRepeated = false; ; ) {
      const outcome = await this.once(method, send);
      const isHarmless = outcome.kind === 'refused' && harmless.includes(outcome.reason);
      if (outcome.kind !== 'unknown' && !isHarmless) return { ...outcome, isRepeated };
      isRepeated ||= !isHarmless;
      if (performance.now() > giveUpAt) {
        this.#findings.violate(`${method} has had no outcome for ${patience / 1000} s: ${outcome.reason}`);
        throw new Error('gave up');
      }
      await sleep(200 + this.#random() * 800);
    }
  }

  #pick(): Replica {
    const running = this.#replicas.filter(({ isRunning }) => isRunning);
    const among = running.length > 0 ? running : this.#replicas;
    return among[Math.floor(this.#random() * among.length)]!;
  }

  #fail(method: string, tally: Tally, thrown: unknown): Exclude<Outcome<never>, { kind: 'ok' }> {
    const error = ConnectError.from(thrown, Code.Unavailable);
    const { reason } = error.findDetails(ErrorInfoSchema)[0] ?? {};
    if (error.code === Code.Internal || error.code === Code.Unknown)
      this.#findings.violate(`${method} failed with ${Code[error.code]}: ${error.rawMessage}`);
    const isUnknown = uncertain.includes(error.code) && !(reason && harmless.includes(reason));
    tally[isUnknown ? 'unknown' : 'refused']++;
    const known = reason ?? `${Code[error.code]} of the client`;
    const key = `${method}: ${known}`;
    this.reasons.set(key, (this.reasons.get(key) ?? 0) + 1);
    return { kind: isUnknown ? 'unknown' : 'refused', reason: known };
  }

  #tallyOf(method: string): Tally {
    const tally = this.tallies.get(method) ?? { calls: 0, ok: 0, refused: 0, unknown: 0, latencies: [] };
    this.tallies.set(method, tally);
    return tally;
  }
}
