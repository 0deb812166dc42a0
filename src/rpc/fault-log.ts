import type { Logger } from 'pino';
import type { DatabaseFault } from '../database/fault.ts';

/** Milliseconds between two lines about the same fault. */
const pause = 1000;

/** Logs why the database failed a call, for each kind of fault once a second: in an outage every call fails alike. */
export function logFaults(log: Logger, elapsed: () => number = () => performance.now()) {
  const seen = new Map<string, { at: number; skipped: number }>();
  return (fault: DatabaseFault, requestId: string): void => {
    const kind = `${fault.code} ${fault.database}`;
    const last = seen.get(kind);
    if (last && elapsed() - last.at < pause) {
      last.skipped++;
      return;
    }
    seen.set(kind, { at: elapsed(), skipped: 0 });
    log.warn(
      { requestId, ...fault, ...(last && last.skipped > 0 && { skipped: last.skipped }) },
      'the database failed a call',
    );
  };
}
