import { describe, expect, test } from 'vitest';
import { check, type Entry } from './checker.ts';
import type { Model } from './model.ts';
import { describeHistory, reduceHistory } from './reduce.ts';

type Operation = { readonly method: 'write' | 'set'; readonly value: number } | { readonly method: 'read' };

/** A number that is written and read. Writing the number that is there is refused, setting it is not. */
const register: Model<{ value: number }, Operation> = {
  initial: { value: 0 },
  step(state, operation) {
    if (operation.method === 'read') return { response: `${state.value}`, next: state };
    if (operation.method === 'write' && operation.value === state.value) return { response: 'refused', next: state };
    return { response: 'OK', next: { value: operation.value } };
  },
  isRead: ({ method }, response) => method === 'read' || response === 'refused',
  keyOf: ({ value }) => `${value}`,
};

const never = Number.POSITIVE_INFINITY;

function write(value: number, calledAt: number, returnedAt: number, response: string | undefined = 'OK') {
  return { operation: { method: 'write', value }, calledAt, returnedAt, response } as const;
}

function set(value: number, calledAt: number, returnedAt: number): Entry<Operation> {
  return { operation: { method: 'set', value }, calledAt, returnedAt, response: 'OK' };
}

/** A write without a response. */
function lost(value: number, calledAt: number, returnedAt = never): Entry<Operation> {
  return { operation: { method: 'write', value }, calledAt, returnedAt, response: undefined };
}

function read(value: number, calledAt: number, returnedAt: number) {
  return { operation: { method: 'read' }, calledAt, returnedAt, response: `${value}` } as const;
}

const good: Readonly<Record<string, Entry<Operation>[]>> = {
  'nothing happened': [],
  'one call after another': [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)],
  'a read that overlaps a write returns the old value': [write(1, 0, 10), read(0, 1, 2)],
  'a read that overlaps a write returns the new value': [write(1, 0, 10), read(1, 1, 2), read(1, 3, 4)],
  'overlapping writes took effect in the order of neither call nor return': [
    write(1, 0, 10),
    write(2, 1, 11),
    write(3, 2, 12),
    read(3, 13, 14),
    read(3, 15, 16),
  ],
  'the write that was called first came last': [write(1, 0, 10), write(2, 1, 5), read(2, 6, 7), read(1, 11, 12)],
  'a lost write took effect much later': [lost(1, 0), read(0, 1, 2), read(0, 3, 4), read(1, 5, 6)],
  'a lost write never took effect': [lost(1, 0), write(2, 1, 2), read(2, 3, 4)],
  'a lost write took effect just before its last moment': [lost(1, 0, 5), read(0, 1, 2), read(1, 4.9, 8)],
  'a lost write made another one be refused': [lost(1, 0), write(1, 1, 2, 'refused'), read(1, 3, 4)],
  'a call and a return at one moment overlapped': [write(1, 0, 5), read(0, 5, 6)],
  'a set that would change nothing at first came later': [set(1, 0, 1), set(1, 2, 10), set(0, 3, 9), read(1, 11, 12)],
  'of two lost writes one took effect': [lost(1, 0), lost(2, 0), write(3, 1, 2), read(3, 3, 4), read(2, 5, 6)],
};

const bad: Readonly<Record<string, Entry<Operation>[]>> = {
  'a value that nobody wrote': [read(1, 0, 1)],
  'a stale read': [write(1, 0, 1), read(0, 2, 3)],
  'a read that goes back': [write(1, 0, 10), read(1, 1, 2), read(0, 3, 4)],
  'two readers who saw two writes in different orders': [
    write(1, 0, 10),
    write(2, 0, 10),
    read(1, 11, 12),
    read(2, 13, 14),
  ],
  'a lost write after its last moment': [lost(1, 0, 5), read(0, 6, 7), read(1, 8, 9)],
  'a lost write that took effect twice': [lost(1, 0), read(1, 1, 2), write(2, 3, 4), read(1, 5, 6)],
  'a lost write before its call': [read(1, 0, 1), lost(1, 2)],
  'an acknowledged write that was lost': [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
  'a refusal without a reason': [write(1, 0, 1), write(2, 2, 3, 'refused')],
};

describe('a history is linearizable when', () => {
  test.each(Object.entries(good))('%s', (_, history) => {
    const { outcome, order } = check(register, history);
    expect(outcome).toBe('linearizable');
    expect(isValid(history, order)).toBe(true);
  });
});

describe('a history is refuted by', () => {
  test.each(Object.entries(bad))('%s', (_, history) => {
    expect(check(register, history).outcome).toBe('refuted');
  });

  test.each(Object.entries(bad))('%s, also among calls that are right', (_, history) => {
    const around = [write(7, -20, -19), read(7, -18, -17), write(0, -16, -15), write(8, 100, 101), read(8, 102, 103)];
    expect(check(register, [...around, ...history]).outcome).toBe('refuted');
  });
});

test('for each small history the search finds the same as all orders tried one by one', () => {
  const entries = [write(1, 0, 4), write(2, 1, 3), read(1, 2, 6), read(2, 5, 7), lost(3, 2, 8), read(3, 6, 9)];
  const shifts = [0, 2, 4];
  let refuted = 0;
  for (let number = 0; number < shifts.length ** entries.length; number++) {
    const history = entries.map((entry, i) => {
      const shift = shifts[Math.floor(number / shifts.length ** i) % shifts.length]!;
      return { ...entry, calledAt: entry.calledAt + shift, returnedAt: entry.returnedAt + shift };
    });
    const expected = ordersOf(history).some((order) => isValid(history, order));
    expect(check(register, history).outcome).toBe(expected ? 'linearizable' : 'refuted');
    refuted += expected ? 0 : 1;
  }
  expect(refuted).toBeGreaterThan(100);
  expect(refuted).toBeLessThan(3 ** entries.length - 100);
});

test('a search that takes too long is undecided', () => {
  const lostWrites = Array.from({ length: 20 }, (_, i) => lost(i + 1, 0));
  const history = [...lostWrites, read(1, 1, 2), read(99, 3, 4)];
  expect(check(register, history, { milliseconds: 50, states: 1_000_000 }).outcome).toBe('undecided');
  expect(check(register, history, { milliseconds: 60_000, states: 1000 }).outcome).toBe('undecided');
});

test('what is left of a refuted history are the calls that contradict each other', () => {
  const history = [write(5, 0, 1), read(5, 2, 3), write(1, 4, 5), read(5, 6, 7), write(2, 8, 9), read(2, 10, 11)];
  const reduced = reduceHistory(register, history);
  expect(reduced.filter(({ response }) => response !== undefined)).toEqual([history[2], history[3]]);
  expect(describeHistory(reduced)).toBe(
    [
      '     4.0      5.0 write {"value":1} -> OK',
      '     6.0      7.0 read {} -> 5',
      '(and 4 calls with any outcome)',
    ].join('\n'),
  );
});

/** Whether the operations in this order return what was seen, and none comes before one that had returned. */
function isValid(history: readonly Entry<Operation>[], order: readonly number[]): boolean {
  let state = register.initial;
  let now = Number.NEGATIVE_INFINITY;
  for (const index of order) {
    const { operation, calledAt, returnedAt, response } = history[index]!;
    now = Math.max(now, calledAt);
    const step = register.step(state, operation);
    if (now > returnedAt || (response !== undefined && response !== step.response)) return false;
    state = step.next;
  }
  return history.every(({ response }, index) => response === undefined || order.includes(index));
}

/** Every order of every selection that includes the calls with a response. */
function ordersOf(history: readonly Entry<Operation>[]): number[][] {
  const all = history.map((_, index) => index);
  const without = all.filter((index) => history[index]!.response !== undefined);
  return [...permutations(all), ...permutations(without)];
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) => permutations(items.filter((each) => each !== item)).map((rest) => [item, ...rest]));
}
