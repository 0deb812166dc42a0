import { expect, onTestFinished, test } from 'vitest';
import { Journal } from '../cross-cutting/journal.ts';
import { startCluster } from '../support/cluster.ts';
import { send } from '../support/raw-http.ts';
import { reasonOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';
import { fillerOn, mountVolume } from '../support/volume.ts';

const size = 256 * 1024 * 1024;

/** A cluster whose files are all on that disk, its WAL included. */
async function startClusterOn(disk: string) {
  const usual = process.env.TMPDIR;
  process.env.TMPDIR = disk;
  try {
    return await startCluster();
  } finally {
    if (usual === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = usual;
  }
}

/* docs/operations.md, "Disk full". */
test('a full disk refuses writes and loses none: once it has room, calls succeed, if need be after a restart of PostgreSQL', {
  timeout: 120_000,
}, async () => {
  const disk = mountVolume(`size=${size},mode=1777`, 'a full disk with all files of PostgreSQL');
  if (!disk) return;
  const { fill, empty } = fillerOn(disk);
  const cluster = await startClusterOn(disk);
  onTestFinished(() => cluster.remove());
  const name = await cluster.createDatabase();
  const service = await start({
    databaseUrl: () => cluster.url(name),
    env: { AUTO_CONFIRM_EMAIL: 'on', DATABASE_POOL_SIZE: '5', REFRESH_REUSE_INTERVAL: '60' },
    skipChecks: ['secrets', 'orphans'], // they would look into the database of the common cluster
  });
  const journal = new Journal();
  for (let writer = 0; writer < 8; writer++) journal.write(service.clients(writer % 2 ? 'grpc' : 'json'));
  await journal.progress(20);

  fill(size);
  const { auth } = service.clients('grpc');
  await expect
    .poll(() => auth.signUpAnonymous({}).then(() => 'OK', reasonOf), { timeout: 60_000, interval: 20 })
    .toBe('DATABASE_UNAVAILABLE');
  const get = async (route: string) =>
    (await send(service.replicas[0]!.httpPort, { method: 'GET', path: route })).status;
  expect([await get('/livez'), await get('/.well-known/jwks.json')]).toEqual([200, 200]);

  empty();
  // Without room for its WAL, PostgreSQL has ended.
  await cluster.stop();
  await cluster.start();
  await journal.progress(20);
  await journal.stop();
  await journal.check(<Row extends object>(sql: string) => cluster.query<Row & Record<string, unknown>>(name, sql));
  expect(new Set(journal.entries.map(({ outcome, reason }) => `${outcome} ${reason ?? ''}`.trim()))).toEqual(
    new Set(['acked', 'unknown DATABASE_UNAVAILABLE']),
  );
});
