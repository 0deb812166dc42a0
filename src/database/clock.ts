import type { MikroORM } from '@mikro-orm/postgresql';

/** Returns the current time. All code that compares or stores a time uses the clock of its call. */
export type Clock = () => Date;

/**
 * The process's clock, corrected by its offset to the database's clock so that all replicas agree. The offset is measured
 * now and whenever `adjust` is called, less half the round trip: it is accurate to a millisecond or two.
 */
export async function openClock(orm: MikroORM, offsetSeconds: number) {
  let offset = 0;
  const adjust = async (): Promise<void> => {
    const sent = Date.now();
    const [row] = await orm.em
      .fork()
      .execute<{ ms: number }[]>('select extract(epoch from clock_timestamp())::float8 * 1000 as ms');
    const received = Date.now();
    offset = Math.round(Number(row!.ms) - (sent + received) / 2);
  };
  await adjust();
  const now: Clock = () => new Date(Date.now() + offset + offsetSeconds * 1000);
  return { now, adjust };
}
