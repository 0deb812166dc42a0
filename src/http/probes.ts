import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readiness } from '../rpc/readiness.ts';
import { sendJson } from './send-json.ts';

export type Route = (res: ServerResponse) => void;

/** Whether the process is alive, and whether it can serve. */
export function probes(readiness: () => Readiness): [path: string, Route][] {
  return [
    ['/livez', (res) => sendJson(res, 200, { status: 'live' })],
    ['/readyz', (res) => sendJson(res, readiness() === 'not ready' ? 503 : 200, describe(readiness()))],
  ];
}

function describe(status: Readiness): object {
  return status === 'degraded' ? { status, reason: 'the database fails writes' } : { status };
}

// On every response, errors included (OWASP ASVS 5.0, section 3.4).
export function setSecurityHeaders(res: ServerResponse): void {
  res.setHeader('cache-control', 'no-store');
  res.setHeader('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
  res.setHeader('referrer-policy', 'no-referrer');
  res.setHeader('strict-transport-security', 'max-age=31536000; includeSubDomains');
  res.setHeader('x-content-type-options', 'nosniff');
}

export function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}
