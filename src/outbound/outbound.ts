import { type LookupAddress, lookup as lookUp } from 'node:dns';
import { type IncomingMessage, type RequestOptions, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from './public-address.ts';

/** Resolves a name to its addresses. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface OutboundRules {
  /** Whether a request may go to an address that is not public. */
  readonly allowsPrivate: boolean;
  /** Whether a request may go without TLS. */
  readonly allowsPlainText: boolean;
  /** Milliseconds for a request, from the look-up of the name to the last byte of the response. Default: 5 s. */
  readonly timeout?: number;
  /** Bytes of the body of a response. Default: 64 KiB. */
  readonly mostBytes?: number;
  /** Default: as the operating system does. */
  readonly resolve?: Resolve;
}

export type OutboundFaultKind = 'refused_url' | 'refused_address' | 'unreachable' | 'timeout' | 'too_large' | 'encoded';

/** Why there is no response. */
export class OutboundFault extends Error {
  override name = 'OutboundFault';
  readonly kind: OutboundFaultKind;

  constructor(kind: OutboundFaultKind, cause?: unknown) {
    super(`a request to another service failed: ${kind}`, { cause });
    this.kind = kind;
  }
}

interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Requests to servers that others name or run.
 *
 * Attack (SSRF): a URL, a name server or a redirect leads a request of ours to a service behind the firewall. So the
 * addresses of a name are resolved once, those that are not public are dropped, and the connection is opened to one that is
 * left: a second look-up could return another one (DNS rebinding). Redirects are not followed. A response that is slow or
 * large is cut off.
 */
export class Outbound {
  readonly #rules: Required<OutboundRules>;

  constructor({ timeout = 5000, mostBytes = 64 * 1024, resolve = resolveOnce(), ...rules }: OutboundRules) {
    this.#rules = { ...rules, timeout, mostBytes, resolve };
  }

  /** Throws OutboundFault. A redirect is a response like any other. */
  async send(url: URL, { method = 'GET', headers = {}, body, signal }: Sent = {}): Promise<Response> {
    this.#requireFit(url);
    const timeout = AbortSignal.timeout(this.#rules.timeout);
    const options: RequestOptions = {
      method,
      // A response that is compressed could be much larger than its bytes.
      headers: { ...headers, 'accept-encoding': 'identity', ...(body !== undefined && lengthOf(body)) },
      lookup: this.#lookup,
      // A connection that is kept could go to an address that the name no longer has.
      agent: false,
      maxHeaderSize: 16 * 1024,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    };
    try {
      const response = await open(url, options, body);
      return toResponse(response, await this.#read(response));
    } catch (thrown) {
      if (thrown instanceof OutboundFault) throw thrown;
      signal?.throwIfAborted();
      throw new OutboundFault(timeout.aborted ? 'timeout' : 'unreachable', thrown);
    }
  }

  #requireFit({ protocol, hostname, username, password }: URL): void {
    const { allowsPrivate, allowsPlainText } = this.#rules;
    const isFit = protocol === 'https:' || (protocol === 'http:' && allowsPlainText);
    if (!isFit || username || password) throw new OutboundFault('refused_url');
    // For an address nothing is looked up.
    const literal = hostname.replace(/^\[|\]$/g, '');
    if (!allowsPrivate && isIP(literal) && !isPublicAddress(literal)) throw new OutboundFault('refused_address');
  }

  readonly #lookup: LookupFunction = (hostname, options, done) => {
    const { resolve, allowsPrivate } = this.#rules;
    const fit = ({ address }: LookupAddress) => allowsPrivate || isPublicAddress(address);
    resolve(hostname).then(
      (found) => {
        const [first, ...others] = found.filter(fit);
        if (!first) done(new OutboundFault('refused_address'), '', 0);
        else if (options.all) done(null, [first, ...others]);
        else done(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => done(error, '', 0),
    );
  };

  async #read(response: IncomingMessage): Promise<Buffer> {
    if ((response.headers['content-encoding'] ?? 'identity') !== 'identity') throw cutOff(response, 'encoded');
    const parts: Buffer[] = [];
    let length = 0;
    for await (const part of response as AsyncIterable<Buffer>) {
      length += part.length;
      if (length > this.#rules.mostBytes) throw cutOff(response, 'too_large');
      parts.push(part);
    }
    return Buffer.concat(parts);
  }
}

function lengthOf(body: string) {
  return { 'content-length': String(Buffer.byteLength(body)) };
}

function cutOff(response: IncomingMessage, kind: OutboundFaultKind): OutboundFault {
  response.destroy();
  return new OutboundFault(kind);
}

function open(url: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = url.protocol === 'https:' ? requestSecure : requestPlain;
  request(url, options, resolve).on('error', reject).end(body);
  return promise;
}

function toResponse({ statusCode = 0, headers }: IncomingMessage, body: Buffer): Response {
  const isEmpty = [204, 205, 304].includes(statusCode);
  const type = headers['content-type'];
  if (statusCode < 200 || statusCode > 599) throw new OutboundFault('unreachable');
  return new Response(isEmpty ? null : new Uint8Array(body), {
    status: statusCode,
    headers: type === undefined ? {} : { 'content-type': type },
  });
}

/** The look-up of the operating system takes a thread of the process, so there is one for a name at a time. */
function resolveOnce(): Resolve {
  const running = new Map<string, Promise<LookupAddress[]>>();
  return (hostname) => {
    const known = running.get(hostname);
    if (known) return known;
    const { promise, resolve, reject } = Promise.withResolvers<LookupAddress[]>();
    lookUp(hostname, { all: true }, (error, addresses) => {
      running.delete(hostname);
      if (error) reject(error);
      else resolve(addresses);
    });
    running.set(hostname, promise);
    return promise;
  };
}
