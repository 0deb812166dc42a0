import cluster from 'node:cluster';
import type { Logger } from 'pino';
import type { RunningServer } from '../server.ts';
import { exitAfterLog } from '../telemetry/log.ts';
import type { FromWorker, ToWorker } from './messages.ts';

/** The number of this worker. Undefined when this process is not a worker. */
export function workerId(): number | undefined {
  return cluster.worker?.id;
}

/**
 * Only the primary stops its workers. Ctrl-C and the signals of systemd reach the whole process group: without this,
 * workers would end before their calls are finished.
 */
export function leaveSignalsToPrimary(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
}

/** From here on, the primary kills this worker when its event loop is blocked for ten seconds. */
export function respondToPings(): void {
  process.on('message', ({ kind }: ToWorker) => {
    if (kind === 'ping') send({ kind: 'pong' });
  });
}

/** Sends the error to the primary, which ends with it when this worker is one of its first. */
export async function reportFailure(error: unknown): Promise<never> {
  await send({ kind: 'failed', sentence: (error as Error).message });
  process.exit(1);
}

/** Serves until the primary stops this worker. Node ends a worker whose primary has ended. */
export function serveForPrimary(server: RunningServer, log: Logger, stopTraces: () => Promise<void>): void {
  const { grpcPort, httpPort, health, metrics } = server;
  const sendMetrics = async () => send({ kind: 'metrics', metrics: await metrics.toData() });
  const stop = async (isReplaced: boolean) => {
    await server.stop({ isReplaced });
    await stopTraces();
    await sendMetrics();
  };
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'scrape') sendMetrics();
    if (message.kind !== 'stop') return;
    stop(message.isReplaced).then(
      () => exitAfterLog(log, 0),
      () => exitAfterLog(log, 1),
    );
  });
  health.onChange((readiness) => send({ kind: 'health', readiness }));
  send({ kind: 'ready', grpcPort, httpPort });
}

/** Resolves when the message was sent, or when the primary has ended. */
function send(message: FromWorker): Promise<void> {
  return new Promise((resolve) => process.send!(message, () => resolve()));
}
