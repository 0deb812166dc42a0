import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { entityOf } from '../../src/audit/draft.ts';

const root = path.join(import.meta.dirname, '../..');

test('docs/audit-events.md lists every action with its entity', () => {
  const page = readFileSync(path.join(root, 'docs/audit-events.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([\w.]+)` \| `(\w+)` \| \S/gm)].map(([, action, type]) => [action!, type!]);
  expect(Object.fromEntries(rows)).toEqual(entityOf);
  expect(rows).toHaveLength(Object.keys(entityOf).length);
});

test('the contract names every type of entity', () => {
  const proto = readFileSync(path.join(root, 'proto/gatehouse/v1/admin.proto'), 'utf8');
  const [, comment] = /\/\/ The type of the entity that the action concerns: ([^.]+)\./.exec(proto)!;
  const named = [...comment!.matchAll(/`(\w+)`/g)].map(([, type]) => type);
  expect(named.sort()).toEqual([...new Set<string>(Object.values(entityOf))].sort());
});
