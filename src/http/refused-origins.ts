import type { Logger } from 'pino';

const linesPerMinute = 10;

/**
 * Logs the origins that CORS refuses: the browser reports them on its console only. Each origin is logged once a minute,
 * and ten in all, because a client can send any number of them.
 */
export function logRefusedOrigins(log: Pick<Logger, 'warn'>, elapsed: () => number = () => performance.now()) {
  const logged = new Set<string>();
  let endsAt = 0;
  return (origin: string): void => {
    if (elapsed() >= endsAt) {
      logged.clear();
      endsAt = elapsed() + 60_000;
    }
    const shown =
      /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.:[\]_-]{1,255}$/i.test(origin) || origin === 'null' ? origin : 'not an origin';
    if (logged.has(shown) || logged.size >= linesPerMinute) return;
    logged.add(shown);
    log.warn({ origin: shown }, 'refused a page of an origin that CORS_ORIGINS does not list');
  };
}
