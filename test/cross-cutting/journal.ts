import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'vitest';
import { reasonOf } from '../support/refusal.ts';
import type { Clients } from '../support/start.ts';

export interface Entry {
  /** The address that was registered. */
  readonly email: string;
  readonly outcome: 'acked' | 'refused' | 'unknown';
  readonly reason: string | undefined;
  /** Milliseconds until the response. */
  readonly took: number;
}

interface Chain {
  readonly sessionId: string;
  /** Refreshes that succeeded. */
  refreshes: number;
  token: string;
}

type Query = <Row extends object>(sql: string) => Promise<Row[]>;

// With these reasons the service says that it has done nothing.
const harmless = ['SERVER_BUSY', 'SHUTTING_DOWN', 'TRY_AGAIN'];
const uncertain = [Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Internal, Code.Unknown, Code.Aborted];

/**
 * A load of writers. Each registers users, refreshes their tokens and records the outcomes. Afterwards the database
 * must hold every acknowledged write, no refused one, and none in part.
 */
export class Journal {
  readonly entries: Entry[] = [];
  /** Refreshes that were refused for good, which must not happen. */
  readonly lost: string[] = [];
  readonly #chains: Chain[] = [];
  readonly #writers: Promise<void>[] = [];
  #isOver = false;
  #count = 0;

  /** Starts one writer. */
  write(clients: Clients, pause = 5): void {
    this.#writers.push(this.#loop(clients, pause));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#writers);
  }

  /** Resolves when `count` more registrations were acknowledged. */
  async progress(count = 1, patience = 10_000): Promise<void> {
    const enough = this.#acked() + count;
    const give = performance.now() + patience;
    while (this.#acked() < enough) {
      if (performance.now() > give) throw new Error(`no progress: ${JSON.stringify(this.entries.at(-1))}`);
      await sleep(10);
    }
  }

  #acked(): number {
    return this.entries.filter(({ outcome }) => outcome === 'acked').length;
  }

  async #loop({ auth, sessions }: Clients, pause: number): Promise<void> {
    while (!this.#isOver) {
      const email = `writer-${++this.#count}@example.org`;
      const answer = await this.#note(email, () => auth.register({ email, password: `the password of ${email}` }));
      if (answer?.session && answer.tokens) {
        const chain = { sessionId: answer.session.id, refreshes: 0, token: answer.tokens.refreshToken };
        this.#chains.push(chain);
        await this.#refresh(sessions, chain);
        await this.#refresh(sessions, chain);
      }
      await sleep(pause);
    }
  }

  async #note<T>(email: string, call: () => Promise<T>): Promise<T | undefined> {
    const startedAt = performance.now();
    const end = (outcome: Entry['outcome'], reason?: string) =>
      this.entries.push({ email, outcome, reason, took: performance.now() - startedAt });
    try {
      const answer = await call();
      end('acked');
      return answer;
    } catch (thrown) {
      const reason = reasonOf(thrown) ?? ConnectError.from(thrown).message;
      const isUnknown = uncertain.includes(ConnectError.from(thrown).code) && !harmless.includes(reason);
      end(isUnknown ? 'unknown' : 'refused', reason);
      return undefined;
    }
  }

  /** Refreshes as a client should: with the same token until a call succeeds. */
  async #refresh(sessions: Clients['sessions'], chain: Chain): Promise<void> {
    while (!this.#isOver) {
      try {
        const { tokens } = await sessions.refresh({ refreshToken: chain.token });
        chain.token = tokens!.refreshToken;
        chain.refreshes++;
        return;
      } catch (thrown) {
        if (!uncertain.includes(ConnectError.from(thrown).code)) this.lost.push(reasonOf(thrown) ?? 'without a reason');
        await sleep(20);
      }
    }
  }

  /** Compares the journal with the database. */
  async check(query: Query): Promise<void> {
    const rows = await query<{ email: string; parts: string }>(`
      select u.email, concat_ws(' ', u.password_hash is not null, s.n, a.n) as parts from users u
      left join lateral (select count(*) as n from sessions where user_id = u.id) s on true
      left join lateral (select count(*) as n from audit_events where user_id = u.id and action = 'auth.register') a on true`);
    const there = new Map(rows.map(({ email, parts }) => [email, parts]));
    expect(new Set(there.values()), 'every user has all parts').toEqual(new Set(['t 1 1']));
    const of = (outcome: Entry['outcome']) => this.entries.filter((each) => each.outcome === outcome);
    expect(
      of('acked').filter(({ email }) => !there.has(email)),
      'acknowledged and lost',
    ).toEqual([]);
    expect(
      of('refused').filter(({ email }) => there.has(email)),
      'refused and written',
    ).toEqual([]);
    expect(there.size).toBeLessThanOrEqual(of('acked').length + of('unknown').length);
    await this.#checkChains(query);
  }

  async #checkChains(query: Query): Promise<void> {
    expect(this.lost, 'refused refreshes').toEqual([]);
    const rows = await query<{ id: string; generation: number; revoked: boolean }>(
      `select id, generation, revoked_at is not null as revoked from sessions`,
    );
    const sessions = new Map(rows.map((each) => [each.id, each]));
    for (const { sessionId, refreshes } of this.#chains) {
      const session = sessions.get(sessionId);
      expect(session, 'a session whose tokens were returned').toMatchObject({ revoked: false });
      // One more when the last response was lost, and the writer was stopped before the retry.
      expect([refreshes, refreshes + 1]).toContain(session!.generation);
    }
  }
}
