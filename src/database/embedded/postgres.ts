import path from 'node:path';
import { type Binaries, findBinaries } from './binaries.ts';
import { createCluster, hasCluster, syncCluster } from './cluster.ts';
import { type DataDirectory, explainAccess, requireOwnership, takeDataDirectory } from './data-directory.ts';
import { endPrevious, launchPatiently, type Running } from './launch.ts';
import { createLauncher } from './launcher.ts';
import { takePossession } from './owner.ts';
import { Admission, readPassword } from './password.ts';
import { endPostmaster, markOf, removeStaleLock, signalPostmaster } from './postmaster.ts';
import { settings } from './settings.ts';
import { closeSocketDirectory, openSocketDirectory, port } from './socket-directory.ts';

export interface EmbeddedPostgres {
  /** For the superuser postgres, with its password. */
  url(database: string): string;
  readonly socketDir: string;
  /** Ends PostgreSQL and waits for it. May be called again. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** For tests: writes may be lost when the machine loses power. */
  fast?: boolean;
  maxConnections?: number;
  log?: (line: string) => void;
}

/**
 * Runs the PostgreSQL that npm installed on `dataDir`/postgres. It is reachable only through a unix socket that only its
 * user and root may open, with a password in a file of `dataDir` that only this user may read. It ends when this process
 * ends, in whatever way. Throws EmbeddedPostgresError.
 */
export async function startEmbeddedPostgres(
  dataDir: string,
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  const binaries = await findBinaries();
  let directory: DataDirectory | undefined;
  try {
    directory = await takeDataDirectory(dataDir);
    return await startIn(directory, binaries, options);
  } catch (error) {
    directory?.release();
    throw explainAccess(error, dataDir);
  }
}

async function startIn(directory: DataDirectory, binaries: Binaries, options: EmbeddedPostgresOptions) {
  const { fast = false, maxConnections = 100, log = () => {} } = options;
  const { cluster } = directory;
  requireOwnership(directory);
  await endPrevious(cluster, log);
  const launcher = createLauncher(binaries, directory);
  const isNew = !hasCluster(directory);
  if (isNew) await createCluster(directory, launcher);
  else takePossession(directory, launcher.owner);
  const password = readPassword(directory);
  const admission = new Admission(directory, launcher.owner, password);
  const socketDir = openSocketDirectory(cluster, launcher.owner);
  removeStaleLock(path.join(cluster, 'postmaster.pid'), cluster);
  removeStaleLock(path.join(socketDir, `.s.PGSQL.${port}.lock`), cluster);
  const socket = socketDir === cluster ? launcher.nameOf(cluster) : socketDir;
  const where = ['-k', `"${socket.replaceAll('"', '""')}"`, '-p', `${port}`, '-c', markOf(cluster)];
  const args = [...where, ...settings(fast, maxConnections)];
  const running = await launchPatiently((onLine) => launcher.start('postgres', cluster, args, onLine), cluster, log);
  await admission.complete(socketDir, port).catch(async (error: unknown) => {
    await running.server.end();
    throw error;
  });
  const syncing = isNew && !fast ? syncCluster(directory, launcher) : undefined;
  const release = async () => {
    await syncing?.end();
    closeSocketDirectory(socketDir, cluster);
    directory.release();
  };
  const url = (database: string) =>
    `postgresql://postgres:${password}@${encodeURIComponent(socketDir)}:${port}/${encodeURIComponent(database)}`;
  return { url, socketDir, stop: watch(running, cluster, log, release) };
}

/** Returns the function that stops it. */
function watch({ server, pid }: Running, cluster: string, log: (line: string) => void, release: () => Promise<void>) {
  let stopped: Promise<void> | undefined;
  const interrupt = () => signalPostmaster(pid, cluster, 'SIGINT');
  process.once('exit', interrupt); // the supervisor does the same when the pipe closes, unless it has been killed
  server.unref();
  server.ended.then(() => stopped ?? log('PostgreSQL has ended unexpectedly; restart Gatehouse'));
  const stop = async () => {
    process.off('exit', interrupt);
    await server.end();
    await endPostmaster(pid, cluster); // has ended already, unless its supervisor was killed
    await release();
  };
  return () => (stopped ??= stop());
}
