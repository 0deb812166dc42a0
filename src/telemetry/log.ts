import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, pino } from 'pino';

const secretNames = [
  'password',
  'accessToken',
  'refreshToken',
  'token',
  'authorization',
  'secret',
  'secretHash',
  'passwordHash',
  'masterKeys',
  'serviceKeys',
];

/** Milliseconds that a line may wait for others. */
const flushInterval = 50;

/** Bytes that may wait for the reader of the log. Further lines are dropped, so that a stuck reader does not use up memory. */
const maxLength = 8 * 1024 * 1024;

/**
 * JSON lines on stdout. Lines describe calls but never contain their contents; as a second defence these names of
 * properties are redacted. Lines are written asynchronously, and flushed when the process exits. The lines of a worker
 * contain its number.
 */
export function openLog(level: string, worker?: number): Logger {
  const paths = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  const options = {
    level,
    base: worker === undefined ? null : { worker },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths, censor: '[redacted]' },
  };
  // Workers share a pipe, where longer writes may be interleaved (PIPE_BUF).
  const maxWrite = worker === undefined ? 16_384 : 4096;
  // Under load, lines are written together: one write per line costs more than an introspection.
  const destination = pino.destination({ dest: 1, sync: false, minLength: maxWrite / 2, maxWrite, maxLength });
  setInterval(() => destination.flush(), flushInterval).unref();
  surviveFullVolume(destination);
  return pino(options, destination);
}

/**
 * While the volume of the log is full the service goes on without lines. Those that wait are written once there is room. An
 * error event without a listener would end the process, and sonic-boom's synchronous flush repeats a write until it succeeds.
 */
function surviveFullVolume(destination: ReturnType<typeof pino.destination>): void {
  let isFailing = false;
  destination.on('error', () => {
    isFailing = true;
  });
  destination.on('write', () => {
    isFailing = false;
  });
  const flushSync = destination.flushSync.bind(destination);
  destination.flushSync = () => {
    if (!isFailing) flushSync();
  };
}

/**
 * Ends the process after its last lines. A reader that has stopped reading receives a second more. The process then ends by
 * SIGKILL, because process.exit waits for the thread that is writing.
 */
export async function exitAfterLog(log: Logger, code: number): Promise<void> {
  const isWritten = new Promise<boolean>((resolve) => log.flush(() => resolve(true)));
  if (await Promise.race([isWritten, sleep(1000, false)])) process.exit(code);
  process.kill(process.pid, 'SIGKILL');
}
