import type { IncomingMessage, ServerResponse } from 'node:http';
import { cors } from '@connectrpc/connect';

export interface OriginRules {
  /** The origins whose pages may read responses. */
  readonly origins: readonly string[];
  /** Whether pages of this machine may too, whatever their port. Development only. */
  readonly allowsLocalhost: boolean;
  /** The service's own: its pages need no leave. */
  readonly publicUrl: string;
  readonly onRefused: (origin: string) => void;
  /** A part of the service with rules of its own. */
  readonly part?: CorsOfPath;
}

const allowedHeaders = [
  ...cors.allowedHeaders.filter((each) => !/grpc/i.test(each)),
  'Authorization',
  'Gatehouse-Project',
  'X-Request-Id',
  // Trace context: W3C Trace Context and Baggage, and what Sentry's browser SDK adds to every call.
  'Traceparent',
  'Tracestate',
  'Baggage',
  'Sentry-Trace',
];
const exposedHeaders = ['X-Request-Id', 'Retry-After'];

/** What the pages of an allowed origin may send and read, where it differs from that of the methods. */
export interface CorsOfPath {
  readonly path: string;
  readonly methods: readonly string[];
  readonly allowedHeaders: readonly string[];
  readonly exposedHeaders: readonly string[];
}

const localhost = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/;

/**
 * Lets the listed origins, and no others, read responses (the CORS protocol of the Fetch standard). Never with
 * credentials: calls carry a bearer token, not a cookie. Responds to a preflight request and returns true for it.
 */
export function allowOrigins({ origins, allowsLocalhost, publicUrl, onRefused, part }: OriginRules) {
  const listed = new Set(origins);
  const isAllowed = (origin: string) => listed.has(origin) || (allowsLocalhost && localhost.test(origin));
  return (req: IncomingMessage, res: ServerResponse): boolean => {
    const isPreflight = req.method === 'OPTIONS' && req.headers['access-control-request-method'] !== undefined;
    res.setHeader('vary', 'Origin');
    const { origin } = req.headers;
    if (origin !== undefined && isAllowed(origin)) {
      const own = part && req.url?.startsWith(`${part.path}/`) ? part : undefined;
      res.setHeader('access-control-allow-origin', origin);
      res.setHeader('access-control-expose-headers', [...exposedHeaders, ...(own?.exposedHeaders ?? [])].join(', '));
      if (isPreflight) {
        res.setHeader('access-control-allow-methods', (own?.methods ?? ['GET', 'POST']).join(', '));
        res.setHeader('access-control-allow-headers', [...allowedHeaders, ...(own?.allowedHeaders ?? [])].join(', '));
        res.setHeader('access-control-max-age', '7200');
      }
    } else if (origin !== undefined && isForeign(origin, req, publicUrl, isPreflight)) onRefused(origin);
    if (isPreflight) res.writeHead(204).end();
    return isPreflight;
  };
}

/** Whether a page of another origin asked. A browser also sends the origin of our own pages, and `null` for their forms. */
function isForeign(origin: string, { headers }: IncomingMessage, publicUrl: string, isPreflight: boolean): boolean {
  if (origin === 'null') return isPreflight;
  return origin !== publicUrl && origin !== `http://${headers.host}` && origin !== `https://${headers.host}`;
}
