import { check, type Entry, type Patience } from './checker.ts';
import type { Model } from './model.ts';

const patience: Patience = { milliseconds: 2000, states: 500_000 };

/**
 * What is left of a refuted history without the calls that do not matter. The response of a call does not matter if the
 * history is refuted even when the call may have done nothing, or all that it asked for.
 */
export function reduceHistory<State extends object, Operation>(
  model: Model<State, Operation>,
  history: readonly Entry<Operation>[],
): Entry<Operation>[] {
  let left = [...history].sort((a, b) => a.calledAt - b.calledAt);
  const isRefuted = (entries: readonly Entry<Operation>[]) => check(model, entries, patience).outcome === 'refuted';
  // The latest first: often the beginning alone is refuted.
  for (const entry of left.toReversed()) {
    const vague = { ...entry, response: undefined };
    const changed = left.map((each) => (each === entry ? vague : each));
    if (isRefuted(changed)) left = changed;
  }
  return left;
}

/** A line per call whose response matters, in the order of the calls, and how many other calls there were. */
export function describeHistory<Operation extends { method: string }>(history: readonly Entry<Operation>[]): string {
  const start = history[0]?.calledAt ?? 0;
  const ms = (at: number) => (at - start).toFixed(1).padStart(8);
  const shown = history.filter(({ response }) => response !== undefined);
  const lines = shown.map(({ operation: { method, ...request }, calledAt, returnedAt, response }) =>
    [ms(calledAt), ms(returnedAt), method, JSON.stringify(request), '->', response].join(' '),
  );
  return [...lines, `(and ${history.length - shown.length} calls with any outcome)`].join('\n');
}
