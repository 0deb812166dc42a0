import type { Logger } from 'pino';
import type { Config, LoadedConfig } from '../config/config.ts';
import { logConsole } from '../telemetry/console.ts';
import { exitAfterLog, openLog } from '../telemetry/log.ts';
import { authority } from '../text/authority.ts';
import { startPrimary } from '../workers/primary.ts';
import { leaveSignalsToPrimary, reportFailure, respondToPings, serveForPrimary, workerId } from '../workers/worker.ts';
import { tidyOnceIdle } from './after-start.ts';
import { readyBanner } from './banner.ts';
import { openDatabase, prepareDatabase } from './database.ts';
import { requireLateModules } from './late-modules.ts';
import { stopOnSignals } from './signals.ts';

/** Serves until a signal arrives. */
export async function serveUntilStopped({ config, notices }: LoadedConfig): Promise<void> {
  const worker = config.workers > 1 ? workerId() : undefined;
  if (worker !== undefined) return serveAsWorker(config, worker).catch(reportFailure);
  requireLateModules();
  const log = openLog(config.logLevel);
  logConsole(log, (ended) => void exitAfterLog(ended, 1));
  for (const notice of notices) log.warn(notice);
  const startedAt = performance.now();
  const serve = config.workers > 1 ? serveWithWorkers : serveAlone;
  const { server, close } = await serve(config, log);
  // Until here a signal simply ends the process. Race: a supervisor may send a signal as soon as it reads the ready line.
  stopOnSignals(log, config.shutdownDelay + config.shutdownGrace + 5, async () => {
    await server.stop();
    await close();
  });
  tidyOnceIdle();
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

const noting = (log: Logger) => (line: string) => log.info({ postgres: line });

async function serveAlone(config: Config, log: Logger) {
  const [database, { startServer }] = await Promise.all([openDatabase(config, noting(log)), import('../server.ts')]);
  const { orm, close } = database;
  const start = async () => {
    const traces = await openTraces(config, log);
    const server = await startServer({ config, orm, log, tracer: traces?.tracer });
    return { ...server, stop: () => server.stop().then(() => traces?.stop()) };
  };
  return { server: await closing(close, start()), close };
}

/** The primary migrates and supervises; its workers open their own connections. */
async function serveWithWorkers(config: Config, log: Logger) {
  const { embeddedUrl, close } = await prepareDatabase(config, noting(log));
  return { server: await closing(close, startPrimary({ config, embeddedUrl, log })), close };
}

/** What starts, or its failure once the database is closed. */
async function closing<Started>(close: () => Promise<void>, starting: Promise<Started>): Promise<Started> {
  return starting.catch(async (error: unknown) => {
    await close();
    throw error;
  });
}

async function serveAsWorker(config: Config, id: number): Promise<void> {
  leaveSignalsToPrimary();
  respondToPings();
  const log = openLog(config.logLevel, id);
  logConsole(log, (ended) => void exitAfterLog(ended, 1));
  const [{ openOrm, requireDatabase }, { waitFor }, { startServer }] = await Promise.all([
    import('../database/orm.ts'),
    import('./migrated.ts'),
    import('../server.ts'),
  ]);
  const traces = await openTraces(config, log);
  const { url, ...options } = config.database;
  const orm = await openOrm(url!, options);
  await waitFor(() => requireDatabase(orm), noting(log));
  const server = await startServer({ config: { ...config, adminPort: undefined }, orm, log, tracer: traces?.tracer });
  serveForPrimary(server, log, async () => traces?.stop());
  tidyOnceIdle();
}

async function openTraces({ traces: wanted }: Config, log: Logger) {
  if (!wanted) return undefined;
  const { startTraceExport } = await import('../telemetry/traces/exporter.ts');
  const traces = await startTraceExport(wanted.serviceName);
  if (!traces) log.warn('no traces are exported: @opentelemetry/sdk-node is not installed (docs/operations.md)');
  return traces;
}
