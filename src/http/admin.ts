import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { bugLog } from '../rpc/bug.ts';
import type { Readiness } from '../rpc/readiness.ts';
import { type InboxView, showInbox } from './dev-mail.ts';
import { largestHeader } from './limits.ts';
import { isRead, probes, type Route, setSecurityHeaders } from './probes.ts';

export interface AdminOptions {
  /** In Prometheus's text format. */
  readonly scrape: () => Promise<string>;
  readonly readiness: () => Readiness;
  /** Served under /dev/mail. Undefined in production. */
  readonly inbox?: InboxView | undefined;
  readonly log: Pick<Logger, 'error'>;
}

const contentType = 'text/plain; version=0.0.4; charset=utf-8';

/** The server for operators, on a port of its own that no proxy should lead to: metrics and probes. */
export function createAdminServer({ scrape, readiness, inbox, log }: AdminOptions): Server {
  const logBug = bugLog(log);
  const routes = new Map<string, Route>([
    ...probes(readiness),
    [
      '/metrics',
      (res) => {
        const send = (text: string) => res.writeHead(200, { 'content-type': contentType }).end(text);
        const fail = (thrown: unknown) => {
          logBug(thrown);
          res.writeHead(500).end();
        };
        scrape().then(send, fail);
      },
    ],
  ]);
  const server = createServer(
    { maxHeaderSize: largestHeader, headersTimeout: 10_000, requestTimeout: 10_000 },
    (req, res) => {
      setSecurityHeaders(res);
      const path = req.url?.split('?', 1)[0] ?? '';
      if (inbox && path === '/dev/mail' && isRead(req)) return showInbox(inbox, req, res);
      const route = routes.get(path);
      if (!route) return void refuse(res, 404);
      if (!isRead(req)) return void refuse(res.setHeader('allow', 'GET, HEAD'), 405);
      route(res);
    },
  );
  server.maxConnections = 64;
  return server;
}

/** Its module imports Connect, which a primary does without. */
async function refuse(res: ServerResponse, status: number): Promise<void> {
  (await import('./server.ts')).sendRefusal(res, status);
}
