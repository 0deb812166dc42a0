import type { IncomingMessage, ServerResponse } from 'node:http';
import { cors } from '@connectrpc/connect';

const allowedHeaders = [
  ...cors.allowedHeaders.filter((each) => !/grpc/i.test(each)),
  'Authorization',
  'Gatehouse-Project',
  'X-Request-Id',
];
const exposedHeaders = ['X-Request-Id', 'Retry-After'];

/**
 * Lets the listed origins, and no others, read responses (the CORS protocol of the Fetch standard). Never with
 * credentials: calls carry a bearer token, not a cookie. Responds to a preflight request and returns true for it.
 */
export function allowOrigins(origins: readonly string[]) {
  const listed = new Set(origins);
  return (req: IncomingMessage, res: ServerResponse): boolean => {
    const isPreflight = req.method === 'OPTIONS' && req.headers['access-control-request-method'] !== undefined;
    res.setHeader('vary', 'Origin');
    const { origin } = req.headers;
    if (origin !== undefined && listed.has(origin)) {
      res.setHeader('access-control-allow-origin', origin);
      res.setHeader('access-control-expose-headers', exposedHeaders.join(', '));
      if (isPreflight) {
        res.setHeader('access-control-allow-methods', 'GET, POST');
        res.setHeader('access-control-allow-headers', allowedHeaders.join(', '));
        res.setHeader('access-control-max-age', '7200');
      }
    }
    if (isPreflight) res.writeHead(204).end();
    return isPreflight;
  };
}
