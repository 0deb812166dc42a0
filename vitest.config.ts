import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

// `npm run test:long` runs these: tests that take longer than thirty seconds.
const long = 'test/**/*.long.test.ts';

// Tests of transactions run a second time with every transaction serializable. Everything twice would take too long.
const serializable = globSync('test/**/*.test.ts', { exclude: [long] }).filter((file) =>
  readFileSync(file, 'utf8').startsWith('// @serializable\n'),
);

const common: TestProjectInlineConfiguration['test'] = {
  // Ending a worker thread while native code (argon2) still works in it can take all the others down.
  pool: 'forks',
  // A process runs one file after another: modules are loaded, and code is compiled, once per process instead of once per
  // file.
  isolate: false,
  // For machines that are shared and slow. What is about time measures it itself.
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // Of a poll that names no timeout, and asks only whether something happens at all.
  expect: { poll: { timeout: 10_000 } },
};

const gate: TestProjectInlineConfiguration[] = [
  { test: { ...common, name: 'default', include: ['test/**/*.test.ts'], exclude: [long] } },
  { test: { ...common, name: 'serializable', include: serializable, env: { ISOLATION: 'serializable' } } },
];

export default defineConfig(({ mode }) => ({
  test: {
    // Here and not in the projects: they would each start a cluster of their own.
    globalSetup: ['test/support/global-setup.ts'],
    // One more than there are cores: tests wait for timers and for the database about a third of their time. The cluster's
    // connections suffice for 8 files at once.
    maxWorkers: Math.min(availableParallelism() + 1, 8),
    reporters: ['default', 'json'],
    outputFile: { json: mode === 'long' ? '.reports/long.json' : '.reports/tests.json' },
    projects: mode === 'long' ? [{ test: { ...common, name: 'long', include: [long] } }] : gate,
  },
}));
