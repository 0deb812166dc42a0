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

/** Milliseconds for which a line may wait for others. */
const flushInterval = 50;

/**
 * JSON lines on stdout. We log facts about calls and never their contents; should somebody log an object that holds a
 * secret all the same, these names are blacked out. Written without waiting, and to the end when the process exits.
 * The lines of a worker say which it is.
 */
export function openLog(level: string, worker?: number): Logger {
  const paths = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  const options = {
    level,
    base: worker === undefined ? null : { worker },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths, censor: '[redacted]' },
  };
  // Workers share a pipe, and what is longer may be torn apart there (PIPE_BUF).
  const maxWrite = worker === undefined ? 16_384 : 4096;
  // Under load, lines leave together: a write for each costs more than an introspection.
  const destination = pino.destination({ dest: 1, sync: false, minLength: maxWrite / 2, maxWrite });
  setInterval(() => destination.flush(), flushInterval).unref();
  return pino(options, destination);
}
