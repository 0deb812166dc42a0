import { expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { faultsOf, production } from '../support/config-fixtures.ts';

test.each([
  ['db/gatehouse', true],
  ['db/gatehouse?sslmode=prefer', true],
  ['db/gatehouse?sslmode=disable', true],
  ['localhost,10.0.0.1/gatehouse', true],
  ['localhost,127.0.0.1,[::1]/gatehouse', false],
  ['/gatehouse?host=/var/run/postgresql', false],
  ['db/gatehouse?sslmode=require', false],
])('a database at %s is named in a warning when it may use plain text over the network', (rest, isWarned) => {
  const DATABASE_URL = `postgresql://u:p@${rest}`;
  const warning = expect.stringContaining('DATABASE_URL may use plain text');
  expect(readConfig({ ...production, DATABASE_URL }).notices).toEqual(isWarned ? [warning] : []);
  expect(readConfig({ DATABASE_URL }).notices, 'outside production').toEqual([]);
});

test('a fault of the URL names its cure, and nothing of the URL', () => {
  const { message } = faultsOf({ DATABASE_URL: 'postgresql://ada:hunter2@db/x?pgbouncer=true' });
  expect(message).toContain('the parameter pgbouncer is not supported: leave it out');
  expect(message).not.toMatch(/hunter2|ada/);
});
