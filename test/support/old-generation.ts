import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
setFlagsFromString('--no-allocation-site-pretenuring');
const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;

/** A thousand objects between two collections of the young generation, as calls come and go. */
const between = 1000;

/**
 * The bytes by which the old generation grows for each of many objects that come and go. `churn` is called with the object,
 * which has a hundred numbers, and has to let go of an earlier one.
 */
export function growthPerObject(churn: (object: object) => void): number {
  for (let n = 0; n < between; n++) churn(newObject());
  // What holds the objects is in the old generation from here on.
  collect();
  const before = oldGeneration();
  const rounds = 20;
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < between; n++) churn(newObject());
    collect({ type: 'minor' });
  }
  return (oldGeneration() - before) / (rounds * between);
}

function newObject(): object {
  return { numbers: Array.from({ length: 100 }, (_, n) => n + 0.5) };
}

function oldGeneration(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')!.space_used_size;
}
