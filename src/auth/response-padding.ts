import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds. Several times what the work takes, so that it seldom ends on either side of a step. */
const step = 50;

/**
 * Does what must not tell whether an address is known, and answers at the next step since its beginning. Statements that are
 * the same take a few tenths of a millisecond longer where they find a row to write, which many calls add up to.
 */
export async function padResponseTime<T>(work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  try {
    return await work();
  } finally {
    const spent = performance.now() - startedAt;
    await sleep(step - (spent % step));
  }
}
