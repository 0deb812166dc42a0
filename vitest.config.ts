import { availableParallelism } from 'node:os';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

// Tests to whom the isolation level of a transaction means nothing: they use no database, only start one, are about what
// happens before and after it, or about the wire, one call at a time.
const isolationless = [
  'address',
  'admin-installation',
  'admin-port',
  'architecture',
  'budget',
  'clock',
  'config*',
  'cors',
  'denial',
  'deploy',
  'dev-mail',
  'development-secrets',
  'embedded',
  'gateway',
  'grpc',
  'hashing',
  'health',
  'hostile',
  'import',
  'imported-hash',
  'introspect',
  'keys',
  'limits',
  'log',
  'mail-limits',
  'mail-texts',
  'malformed',
  'matrix',
  'metrics',
  'migrations',
  'parity',
  'password',
  'pipe',
  'policy',
  'prepared',
  'proto',
  'reflection',
  'sdk*',
  'security-events',
  'timing',
  'tls',
  'token',
  'traces',
  'uuid',
];
const ownProcess = ['faults*', 'main', 'readme', 'shutdown', 'workers'];

const common: TestProjectInlineConfiguration['test'] = {
  include: ['test/**/*.test.ts'],
  // Ending a worker thread while native code (argon2) still works in it can take all the others down.
  pool: 'forks',
  testTimeout: 20_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    // Here and not in the projects: they would each start a cluster of their own.
    globalSetup: ['test/global-setup.ts'],
    // Vitest would leave one of two cores idle. The cluster's connections suffice for 8 files at once.
    maxWorkers: Math.min(availableParallelism(), 8),
    reporters: ['default', 'json'],
    outputFile: { json: '.reports/tests.json' },
    projects: [
      { test: { ...common, name: 'default' } },
      {
        test: {
          ...common,
          name: 'serializable',
          env: { ISOLATION: 'serializable' },
          exclude: [...isolationless, ...ownProcess].map((name) => `test/${name}.test.ts`),
        },
      },
    ],
  },
});
