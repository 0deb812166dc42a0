import type { MikroORM } from '@mikro-orm/postgresql';
import type { Logger } from 'pino';
import type { Config, LoadedConfig } from '../config/config.ts';
import { createDatabase } from '../database/create-database.ts';
import { openOrm, requireDatabase } from '../database/orm.ts';
import { startServer } from '../server.ts';
import { logConsole } from '../telemetry/console.ts';
import { exitAfterLog, openLog } from '../telemetry/log.ts';
import { startTraceExport } from '../telemetry/traces/exporter.ts';
import { authority } from '../text/authority.ts';
import { startPrimary } from '../workers/primary.ts';
import { leaveSignalsToPrimary, reportFailure, respondToPings, serveForPrimary, workerId } from '../workers/worker.ts';
import { readHeads, verifyAudit } from './audit.ts';
import { readyBanner } from './banner.ts';
import { type Database, openDatabase, waitFor } from './database.ts';
import { importFile, openImport } from './import.ts';
import { checkDrop, manageInstallation } from './installation.ts';
import { manageKeys } from './keys.ts';
import { manageOperators } from './operators.ts';
import type { Invocation } from './parse.ts';
import { manageProjects } from './projects.ts';
import { stopOnSignals } from './signals.ts';
import { explainStartFault } from './start-fault.ts';
import { terminal } from './terminal.ts';

/** Runs the command. Throws an error whose message is a sentence for people. */
export async function run(invocation: Invocation, loaded: LoadedConfig): Promise<void> {
  const { command, args, options } = invocation;
  const { config } = loaded;
  const [group] = command.split(' ');
  if (group === 'serve') return serveUntilStopped(loaded);
  if (group === 'migrate') return migrateDatabase(config, options.has('create'));
  if (group === 'keys') return withDatabase(config, (orm) => manageKeys(orm, config, invocation, terminal));
  if (group === 'admin') return withDatabase(config, (orm) => manageOperators(orm, config, invocation, terminal));
  if (group === 'projects') return withDatabase(config, (orm) => manageProjects(orm, config, invocation, terminal));
  if (group === 'audit') {
    const heads = readHeads(options.get('head'));
    return withPatience(config, (orm, patient) => verifyAudit(orm, patient, heads, terminal));
  }
  if (group === 'import') {
    const input = await openImport(args[0]!);
    return withPatience(config, (orm, patient) => importFile(orm, patient, input, terminal));
  }
  if (command === 'installation drop') checkDrop(args);
  return withPatience(config, (orm, patient) => manageInstallation(orm, patient, invocation, terminal));
}

async function serveUntilStopped({ config, notices }: LoadedConfig): Promise<void> {
  const worker = config.workers > 1 ? workerId() : undefined;
  if (worker !== undefined) return serveAsWorker(config, worker).catch(reportFailure);
  const log = openLog(config.logLevel);
  logConsole(log, (ended) => void exitAfterLog(ended, 1));
  for (const notice of notices) log.warn(notice);
  const startedAt = performance.now();
  const database = await openDatabase(config, (line) => log.info({ postgres: line }));
  const serve = config.workers > 1 ? serveWithWorkers : serveAlone;
  const server = await serve(config, database, log).catch(async (error: unknown) => {
    await database.close();
    throw error;
  });
  // Until here a signal simply ends the process. Race: a supervisor may send a signal as soon as it reads the ready line.
  stopOnSignals(log, config.shutdownDelay + config.shutdownGrace + 5, async () => {
    await server.stop();
    await database.close();
  });
  if (process.stdout.isTTY) return void process.stdout.write(readyBanner(config, server));
  log.info(
    {
      grpc: authority(config.host, server.grpcPort),
      http: `${config.tls ? 'https' : 'http'}://${authority(config.host, server.httpPort)}`,
      ...(server.adminPort !== undefined && { admin: `http://${authority(config.host, server.adminPort)}` }),
      database: config.database.url ? 'external' : 'embedded',
      ...(config.workers > 1 && { workers: config.workers }),
      seconds: Math.round(performance.now() - startedAt) / 1000,
    },
    'ready',
  );
}

async function serveAlone(config: Config, { orm }: Database, log: Logger) {
  const traces = await openTraces(config, log);
  const server = await startServer({ config, orm, log, tracer: traces?.tracer });
  const stop = () => server.stop().then(() => traces?.stop());
  return { ...server, stop };
}

/** The primary migrates and supervises; its workers open their own connections. */
async function serveWithWorkers(config: Config, { orm, embeddedUrl }: Database, log: Logger) {
  await orm.close(true);
  return startPrimary({ config, embeddedUrl, log });
}

async function serveAsWorker(config: Config, id: number): Promise<void> {
  leaveSignalsToPrimary();
  respondToPings();
  const log = openLog(config.logLevel, id);
  logConsole(log, (ended) => void exitAfterLog(ended, 1));
  const traces = await openTraces(config, log);
  const { url, ...options } = config.database;
  const orm = await openOrm(url!, options);
  await waitFor(
    () => requireDatabase(orm),
    (line) => log.info({ postgres: line }),
  );
  const server = await startServer({ config: { ...config, adminPort: undefined }, orm, log, tracer: traces?.tracer });
  serveForPrimary(server, log, async () => traces?.stop());
}

async function openTraces({ traces: wanted }: Config, log: Logger) {
  const traces = wanted && (await startTraceExport(wanted.serviceName));
  if (wanted && !traces)
    log.warn('no traces are exported: @opentelemetry/sdk-node is not installed (docs/operations.md)');
  return traces;
}

async function migrateDatabase(config: Config, isCreated: boolean): Promise<void> {
  const { url } = config.database;
  const name = isCreated && url && (await createDatabase(url).catch(explained));
  if (name) terminal.print(`the database ${name} was created`);
  return withDatabase(config, async () => terminal.print('the database is up to date'), terminal.print);
}

function explained(error: unknown): never {
  throw explainStartFault(error) ?? error;
}

/** Runs work that may take long, without the timeouts of calls. */
function withPatience(config: Config, work: (orm: MikroORM, config: Config) => Promise<void>): Promise<void> {
  const patient = { ...config, database: { ...config.database, statementTimeout: 0 } };
  return withDatabase(patient, (orm) => work(orm, patient));
}

async function withDatabase(
  config: Config,
  work: (orm: MikroORM) => Promise<void>,
  report: (line: string) => void = () => {},
): Promise<void> {
  const database = await openDatabase(config, () => {}, report);
  try {
    await work(database.orm);
    await database.orm.close(true);
  } finally {
    await database.close();
  }
}
