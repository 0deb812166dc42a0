import { format } from 'node:util';
import type { Logger } from 'pino';
import { describeBug } from '../rpc/bug.ts';

const longest = 2000;

/**
 * Writes what libraries print, and warnings of Node, as lines of the log. An exception that nobody catches still ends the
 * process, after its own line; `end` receives the log to flush.
 */
export function logConsole(log: Logger, end: (log: Logger) => void): void {
  const levels = { log: 'info', info: 'info', debug: 'debug', trace: 'debug', warn: 'warn', error: 'error' } as const;
  for (const [method, level] of Object.entries(levels))
    console[method as keyof typeof levels] = (...parts: unknown[]) =>
      log[level]({ console: format(...parts.map(withoutMessage)).slice(0, longest) }, 'a library printed');
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warn({ warning: name, message }, 'a warning of Node'));
  process.on('uncaughtException', (error, origin) => {
    log.fatal({ bug: describeBug(error), origin }, 'an exception was not caught');
    end(log);
  });
}

/** The message of an error of the database holds the values of its statement. */
function withoutMessage(part: unknown): unknown {
  return part instanceof Error ? describeBug(part) : part;
}
