import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Coalescer, unlessInConflict } from '../../src/database/coalesce.ts';

type Answers = ReadonlyMap<number, string>;

/** A coalescer whose batches return when the test calls `answer`. Items that run alone return when `first` is called. */
function makeBatch(patience = 60_000) {
  const left: { items: readonly number[]; answer: (answers: Answers) => void; fail: (error: Error) => void }[] = [];
  const batch = new Coalescer<number, string>((items) => {
    const { promise, resolve: answer, reject: fail } = Promise.withResolvers<Answers>();
    left.push({ items, answer, fail });
    return promise;
  }, patience);
  const alone = Promise.withResolvers<void>();
  const take = (item: number) => batch.take(item, () => alone.promise.then(() => `${item} alone`));
  const takeAll = (...items: number[]) => items.map(take);
  return { left, takeAll, first: () => alone.resolve() };
}

const together = (...items: number[]) => new Map(items.map((item) => [item, `${item} together`]));

test('the first item runs alone immediately; items that arrive meanwhile run together', async () => {
  const { left, takeAll, first } = makeBatch();
  const [one, two, three] = takeAll(1, 2, 3);
  await turn();
  expect(left.map(({ items }) => items)).toEqual([[2, 3]]);
  left[0]!.answer(together(2, 3));
  expect(await Promise.all([two, three])).toEqual(['2 together', '3 together']);
  first();
  expect(await one).toBe('1 alone');
  const [four] = takeAll(4);
  expect(await four).toBe('4 alone');
  expect(left).toHaveLength(1);
});

test('items that arrive while a batch is in flight wait for the next one, 64 at most in each', async () => {
  const { left, takeAll } = makeBatch();
  takeAll(0, 1);
  await turn();
  const later = takeAll(...Array.from({ length: 70 }, (_, n) => n + 2));
  await turn();
  expect(left).toHaveLength(1);
  left[0]!.answer(together(1));
  await turn();
  expect(left.map(({ items }) => items.length)).toEqual([1, 64]);
  left[1]!.answer(together(...left[1]!.items));
  await turn();
  expect(left[2]!.items).toEqual([66, 67, 68, 69, 70, 71]);
  left[2]!.answer(together(...left[2]!.items));
  expect(await Promise.all(later)).toEqual(Array.from({ length: 70 }, (_, n) => `${n + 2} together`));
});

test('an item without a result from its batch runs alone', async () => {
  const { left, takeAll, first } = makeBatch();
  const [, two, three] = takeAll(1, 2, 3);
  await turn();
  left[0]!.answer(together(3));
  first();
  expect(await Promise.all([two, three])).toEqual(['2 alone', '3 together']);
});

test('a failing batch fails for each of its items, and for no others', async () => {
  const { left, takeAll } = makeBatch();
  const [, two, three] = takeAll(1, 2, 3);
  await turn();
  const [four] = takeAll(4);
  left[0]!.fail(new Error('broken'));
  await expect(two).rejects.toThrow('broken');
  await expect(three).rejects.toThrow('broken');
  await turn();
  left[1]!.answer(together(4));
  expect(await four).toBe('4 together');
});

test('the next batch does not wait for one that does not return in time', async () => {
  const { left, takeAll } = makeBatch(300);
  const [, two] = takeAll(1, 2);
  await turn();
  const [three] = takeAll(3);
  await sleep(20);
  expect(left).toHaveLength(1);
  await expect.poll(() => left.length).toBe(2);
  left[1]!.answer(together(3));
  expect(await three).toBe('3 together');
  // The late batch returns: that does not send the next batch a second time.
  const [four] = takeAll(4);
  await turn();
  left[0]!.answer(together(2));
  expect(await two).toBe('2 together');
  const [five] = takeAll(5);
  await turn();
  expect(left.map(({ items }) => items)).toEqual([[2], [3], [4]]);
  left[2]!.answer(together(4));
  await turn();
  left[3]!.answer(together(5));
  expect(await Promise.all([four, five])).toEqual(['4 together', '5 together']);
});

test('a shared statement that lost to concurrent transactions has no rows, and any other error is thrown', async () => {
  const failing = (code: string) => unlessInConflict(() => Promise.reject(Object.assign(new Error(code), { code })));
  expect(await failing('40001')).toBeUndefined();
  expect(await failing('40P01')).toBeUndefined();
  await expect(failing('57P01')).rejects.toThrow('57P01');
});
