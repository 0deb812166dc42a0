import type { Logger } from 'pino';
import { exitAfterLog } from '../telemetry/log.ts';

/**
 * Stops on SIGTERM or SIGINT and exits with 0, within `patience` seconds. A second signal ends the process immediately, but
 * only after one second: under npm, Ctrl-C arrives twice, from the terminal and from npm.
 */
export function stopOnSignals(log: Logger, patience: number, stop: () => Promise<void>): void {
  let stoppingSince: number | undefined;
  const onSignal = (signal: string): void => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince > 1000) void exitAfterLog(log, 1);
      return;
    }
    stoppingSince = performance.now();
    log.info({ signal }, 'stopping');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), patience * 1000).unref();
    stop().then(
      () => {
        log.info('stopped');
        return exitAfterLog(log, 0);
      },
      (error: Error) => {
        log.error({ error: error.name }, 'did not stop cleanly');
        return exitAfterLog(log, 1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}
