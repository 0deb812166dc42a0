import cluster from 'node:cluster';
import type { RunningServer } from '../server.ts';
import type { FromWorker, ToWorker } from './messages.ts';

/** The number of this process among the workers of its primary; undefined when it is none. */
export function workerId(): number | undefined {
  return cluster.worker?.id;
}

/**
 * Only the primary stops its workers. Ctrl-C reaches them too, and so does what systemd sends to the whole group; were
 * they to heed it, nobody would wait for their calls.
 */
export function leaveSignalsToPrimary(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
}

/** For the primary to end with, when this worker is one of its first. */
export async function reportFailure(error: unknown): Promise<never> {
  await tell({ kind: 'failed', sentence: (error as Error).message });
  process.exit(1);
}

/** Serves until the primary has it stop. Without a primary Node ends a worker by itself. */
export function serveForPrimary(server: RunningServer, stopTraces: () => Promise<void>): void {
  const { grpcPort, httpPort, health, metrics } = server;
  const tellMetrics = async () => tell({ kind: 'metrics', metrics: await metrics.tell() });
  const stop = async (isReplaced: boolean) => {
    await server.stop({ isReplaced });
    await stopTraces();
    await tellMetrics();
  };
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'scrape') return void tellMetrics();
    stop(message.isReplaced).then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
  health.onChange((isServing) => tell({ kind: 'health', isServing }));
  tell({ kind: 'ready', grpcPort, httpPort });
}

/** Resolves when the message is on its way, or nobody is there to read it. */
function tell(message: FromWorker): Promise<void> {
  return new Promise((resolve) => process.send!(message, () => resolve()));
}
