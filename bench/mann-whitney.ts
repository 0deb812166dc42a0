import { percentile } from './generator.ts';

export interface Comparison {
  /** The chance that something of `b` is larger than something of `a`: 0.5 when neither tends to be. */
  readonly auc: number;
  readonly medianA: number;
  readonly medianB: number;
}

/**
 * The U of Mann and Whitney (1947, "On a test of whether one of two random variables is stochastically larger than the
 * other") over the number of pairs, which is the area under the ROC curve of whoever tells the two apart by a threshold.
 * Ties count half.
 */
export function aucOf(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, isB: 0 })), ...b.map((value) => ({ value, isB: 1 }))];
  all.sort((one, other) => one.value - other.value);
  let rankSum = 0;
  for (let from = 0, to = 0; from < all.length; from = to) {
    let bs = 0;
    for (; to < all.length && all[to]!.value === all[from]!.value; to++) bs += all[to]!.isB;
    // Ranks count from 1, and what is equal shares the mean of its ranks.
    rankSum += (bs * (from + 1 + to)) / 2;
  }
  return (rankSum - (b.length * (b.length + 1)) / 2) / (a.length * b.length);
}

export function compare(a: readonly number[], b: readonly number[]): Comparison {
  return { auc: aucOf(a, b), medianA: medianOf(a), medianB: medianOf(b) };
}

/** Whether the ranks give nothing away: with 1,600 a side, chance alone strays as far as 0.05 once in a million runs. */
export function isEven({ auc }: Comparison): boolean {
  return auc >= 0.45 && auc <= 0.55;
}

/** Whether the medians differ by less than 5 ms or less than 5 %. */
export function isClose({ medianA, medianB }: Comparison): boolean {
  const difference = Math.abs(medianA - medianB);
  return difference < 5 || difference < 0.05 * Math.max(medianA, medianB);
}

function medianOf(values: readonly number[]): number {
  return percentile(Float64Array.from(values).sort(), 0.5);
}
