import type { MikroORM } from '@mikro-orm/postgresql';
import { poolOf } from './autocommit.ts';

/** Returns the current time. All code that compares or stores a time uses the clock of its call. */
export type Clock = () => Date;

const samples = 8;
/** Milliseconds. Half of a round trip is the most by which its sample can be wrong. */
const longestRoundTrip = 50;

/** The offset of the database's clock in milliseconds, and how long the database took to return it. */
interface Sample {
  readonly offset: number;
  readonly roundTrip: number;
}

/**
 * The process's clock, corrected by its offset to the database's clock so that all replicas agree. The offset is measured
 * now and whenever `adjust` is called. While every round trip is too long the former offset stays; the first one is taken
 * all the same, after `warn` received its round trip in milliseconds.
 */
export async function openClock(orm: MikroORM, offsetSeconds: number, warn: (roundTrip: number) => void = () => {}) {
  let used = await measure(orm);
  if (used.roundTrip > longestRoundTrip) warn(used.roundTrip);
  const adjust = async (): Promise<void> => {
    const best = await measure(orm);
    if (best.roundTrip <= longestRoundTrip) used = best;
  };
  const now: Clock = () => new Date(Date.now() + used.offset + offsetSeconds * 1000);
  /** The most by which the clock was wrong when it was last adjusted, in seconds. */
  const error = () => used.roundTrip / 2000;
  return { now, adjust, error };
}

/** The sample with the shortest round trip, of several over one connection: the wait for a connection is not in it. */
async function measure(orm: MikroORM): Promise<Sample> {
  const client = await poolOf(orm).connect();
  let broken: Error | undefined;
  try {
    let best = await sample(client);
    for (let i = 1; i < samples; i++) {
      const next = await sample(client);
      if (next.roundTrip < best.roundTrip) best = next;
    }
    return best;
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}

async function sample(client: { query(text: string): Promise<{ rows: { ms: number }[] }> }): Promise<Sample> {
  const sentAt = performance.now();
  const sent = Date.now();
  const { rows } = await client.query('select extract(epoch from clock_timestamp())::float8 * 1000 as ms');
  const roundTrip = performance.now() - sentAt;
  return { offset: Math.round(Number(rows[0]!.ms) - (sent + roundTrip / 2)), roundTrip };
}
