import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { findBinaries } from '../../src/database/embedded/binaries.ts';
import { createLauncher } from '../../src/database/embedded/launcher.ts';
import { settings } from '../../src/database/embedded/settings.ts';
import type { Cluster } from './cluster.ts';
import { clusterPassword } from './cluster-password.ts';

export type Standby = Awaited<ReturnType<typeof startStandby>>;

/** A hot standby that streams from the cluster. The copy is made while the cluster is stopped, which is a base backup. */
export async function startStandby(primary: Cluster) {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-standby-'));
  const data = path.join(dir, 'postgres');
  await primary.stop();
  execFileSync('cp', ['-a', primary.data, data]); // keeps the owner, which Node's cpSync does not
  await primary.start();
  rmSync(path.join(data, 'postmaster.pid'), { force: true });
  writeFileSync(path.join(data, 'standby.signal'), '');
  writeFileSync(
    path.join(data, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=${primary.socketDir} port=5432 user=postgres password=${clusterPassword}'\n`,
  );
  execFileSync('chmod', ['a+x', dir]);
  execFileSync('chmod', ['a+x', path.dirname(primary.data)]); // its user connects to the primary's socket
  const launcher = createLauncher(await findBinaries(), { root: dir, cluster: data });
  const args = ['-k', launcher.nameOf(data), '-p', '5432', ...settings(false, 100)];
  const ready = Promise.withResolvers<void>();
  const lines: string[] = [];
  const server = launcher.start('postgres', data, args, (line) => {
    lines.push(line);
    if (line.includes('ready to accept read-only connections')) ready.resolve();
  });
  server.ended.then(() => ready.reject(new Error(lines.join('\n'))));
  await ready.promise;
  const url = (database: string) =>
    `postgresql://postgres:${clusterPassword}@${encodeURIComponent(data)}:5432/${database}`;
  return {
    url,
    socketDir: data,
    async query(database: string, text: string): Promise<pg.QueryResultRow[]> {
      const client = new pg.Client({ connectionString: url(database) });
      await client.connect();
      return client
        .query(text)
        .then(({ rows }) => rows)
        .finally(() => client.end());
    },
    async remove() {
      await server.end();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
