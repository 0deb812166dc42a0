import { expect, test } from 'vitest';
import { aucOf, compare, isClose, isEven } from '../../bench/mann-whitney.ts';

/** The definition: the share of pairs in which a is less than b. */
function aucByPairs(a: readonly number[], b: readonly number[]): number {
  const won = a.flatMap((x) => b.map((y): number => (x < y ? 1 : x === y ? 0.5 : 0)));
  return won.reduce((sum, each) => sum + each, 0) / won.length;
}

/** Approximate quantiles of the normal distribution (Tukey's lambda), shuffled. */
function normal(count: number, mean: number): number[] {
  const quantile = (p: number) => mean + (p ** 0.1349 - (1 - p) ** 0.1349) / 0.1975;
  return Array.from({ length: count }, (_, n) => quantile(((n * 7) % count) / count + 0.5 / count));
}

test.each([
  ['all of b above', [1, 2, 3], [4, 5], 1],
  ['all of b below', [4, 5], [1, 2, 3], 0],
  ['the same values', [1, 2, 3], [1, 2, 3], 0.5],
  ['nothing but ties', [7, 7, 7], [7, 7], 0.5],
  ['ties on both sides', [1, 2, 2, 3], [2, 2, 4], 8 / 12],
  ['numbers, not text', [9, 9], [10, 10], 1],
  ['the tortoises and the hares of Aesop', [2, 3, 4, 5, 6, 12], [1, 7, 8, 9, 10, 11], 25 / 36],
])('AUC of %s', (_, a, b, auc) => {
  expect(aucOf(a, b)).toBeCloseTo(auc, 12);
  expect(aucByPairs(a, b)).toBeCloseTo(auc, 12);
  expect(aucOf(b, a)).toBeCloseTo(1 - auc, 12);
});

test.each([0, 0.1, 0.5, 1])('AUC of normal distributions %d deviations apart agrees with theory', (apart) => {
  const theory = { 0: 0.5, 0.1: 0.5282, 0.5: 0.6382, 1: 0.7602 }[apart]!;
  expect(aucOf(normal(1600, 20), normal(1600, 20 + apart))).toBeCloseTo(theory, 2);
});

test('AUC of values with many ties equals the count of pairs', () => {
  const [a, b] = [normal(200, 5).map(Math.round), normal(150, 6).map(Math.round)];
  expect(aucOf(a, b)).toBeCloseTo(aucByPairs(a, b), 12);
});

test('a leak is found, and equal distributions are even', () => {
  const verdict = (apart: number) => {
    const compared = compare(normal(60, 30), normal(60, 30 + apart));
    return { isEven: isEven(compared), isClose: isClose(compared) };
  };
  expect(verdict(0)).toEqual({ isEven: true, isClose: true });
  expect(verdict(1), 'in the ranks').toEqual({ isEven: false, isClose: true });
  expect(verdict(-20), 'in both').toEqual({ isEven: false, isClose: false });
  const sure = { auc: 0.5, medianA: 1000, medianB: 1049 };
  expect(isClose(sure), 'less than 5 % of a second').toBe(true);
  expect(isClose({ ...sure, medianB: 1060 })).toBe(false);
});
