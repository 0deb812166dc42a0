import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds. Several times what the work takes, so that it rarely ends after one step for one address and after two for another. */
const step = 50;

/**
 * Pads the time of the work to a multiple of 50 ms, whether it succeeds or fails, so that it does not reveal whether an
 * address is registered. Identical statements take a few tenths of a millisecond longer when they find a row to write,
 * which can be measured over many calls.
 */
export async function padResponseTime<T>(work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  try {
    return await work();
  } finally {
    const spent = performance.now() - startedAt;
    const endsAt = startedAt + step * Math.ceil(spent / step);
    // A timer may fire a little early: it counts from the time that the event loop last looked at the clock.
    for (let left = endsAt - performance.now(); left > 0; left = endsAt - performance.now()) await sleep(left);
  }
}
