import { expect, test } from 'vitest';
import { preparedStatements } from '../support/user-rows.ts';

test('every statement has a name of its own: one connection cannot prepare two under one name', async () => {
  const names = (await preparedStatements()).map(([name]) => name);
  expect(names.length).toBeGreaterThan(100);
  expect(names.filter((name) => !/^[a-z][a-z\d_]*$/.test(name))).toEqual([]);
  expect(names.filter((name, place) => names.indexOf(name) !== place)).toEqual([]);
});
