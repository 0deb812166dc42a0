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
  const destination = pino.destination({ dest: 1, sync: false, minLength: maxWrite / 2, maxWrite });
  setInterval(() => destination.flush(), flushInterval).unref();
  return pino(options, destination);
}
