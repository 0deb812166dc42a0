import type { Logger } from 'pino';

/** Logs a bug, with the id of the request if it has one. */
export type LogBug = (thrown: unknown, requestId?: string) => void;

export function bugLog(log: Pick<Logger, 'error'>): LogBug {
  return (thrown, requestId) => log.error({ requestId, bug: describeBug(thrown) }, 'a bug');
}

/**
 * What is logged of a bug. The message of a database error is left out: MikroORM writes the statement's values into it.
 */
export function describeBug(thrown: unknown): object {
  if (!(thrown instanceof Error)) return { type: typeof thrown };
  const { name, stack = '', cause, code, constraint, table } = thrown as Error & Record<string, string | undefined>;
  // A line of an SQL statement in the message may look like a stack frame.
  const frames = stack
    .replace(thrown.message, () => '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line));
  const isQuery = code !== undefined || name.endsWith('Exception');
  return {
    name,
    ...(isQuery ? { code, constraint, table } : { message: thrown.message }),
    frames: frames.slice(0, 12).map((line) => line.trim()),
    ...(cause instanceof Error && { cause: describeBug(cause) }),
  };
}
