import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';

const { HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH } = constants;

export interface Answer {
  /** 0 is OK. */
  readonly status: number;
  readonly message: Buffer;
  /** `grpc-message` of a status that is not 0. */
  readonly reason: string;
}

/**
 * A gRPC client that costs as little as Node allows: one HTTP/2 connection, requests framed beforehand, responses not
 * decoded. The load generator then takes a small and known part of the machine.
 */
export class Caller {
  readonly #session: ClientHttp2Session;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(address: string, path: string, bearer?: string) {
    this.#session = connect(`http://${address}`, { settings: { enablePush: false } });
    this.#headers = {
      [HTTP2_HEADER_METHOD]: 'POST',
      [HTTP2_HEADER_PATH]: path,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'gatehouse-bench',
      ...(bearer && { authorization: `Bearer ${bearer}` }),
    };
  }

  /** Calls with this client address, if the service trusts the header. */
  call(request: Buffer, from?: string): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const sent = from ? { ...this.#headers, 'x-forwarded-for': from } : this.#headers;
    const stream = this.#session.request(sent, { endStream: false });
    let message: Buffer = Buffer.alloc(0);
    let headers: IncomingHttpHeaders = {};
    stream.on('response', (got) => {
      headers = got;
    });
    stream.on('trailers', (got) => {
      headers = got;
    });
    stream.on('data', (chunk: Buffer) => {
      message = message.length === 0 ? chunk : Buffer.concat([message, chunk]);
    });
    stream.on('end', () => {
      const reason = decodeURIComponent(String(headers['grpc-message'] ?? ''));
      resolve({ status: Number(headers['grpc-status'] ?? 2), message: message.subarray(5), reason });
    });
    stream.on('error', reject);
    stream.end(request);
    return promise;
  }

  close(): void {
    this.#session.close();
  }
}

/** The calls of one slot, one after another, so that each call can use the previous response. */
export type Chain = (slot: number) => Promise<void>;

export interface Load {
  readonly calls: number;
  readonly failures: number;
  readonly seconds: number;
  /** Milliseconds per call, sorted. */
  readonly latencies: Float64Array;
}

/** Keeps `slots` calls in flight for a while, and returns how many calls a second the server completes. */
export async function saturate(chain: Chain, slots: number, seconds: number): Promise<Load> {
  const latencies: number[] = [];
  let failures = 0;
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1000;
  const run = async (slot: number): Promise<void> => {
    for (let at = performance.now(); at < endsAt; ) {
      await chain(slot).catch(() => failures++);
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: slots }, (_, slot) => run(slot)));
  return summarize(latencies, failures, startedAt);
}

/**
 * Sends calls at a fixed rate, whether or not earlier ones have completed, and measures each from the moment it was due. A
 * stall of the server is then charged to all calls that had to wait (no coordinated omission).
 */
export async function offer(chain: Chain, slots: number, perSecond: number, seconds: number): Promise<Load> {
  const latencies: number[] = [];
  let failures = 0;
  const free = Array.from({ length: slots }, (_, slot) => slot);
  const waiting: number[] = [];
  const pending = new Set<Promise<void>>();
  const startedAt = performance.now();
  const start = (slot: number, dueAt: number): void => {
    const done = chain(slot)
      .catch(() => {
        failures++;
      })
      .then(() => {
        latencies.push(performance.now() - dueAt);
        const next = waiting.shift();
        if (next === undefined) free.push(slot);
        else start(slot, next);
        pending.delete(done);
      });
    pending.add(done);
  };
  const total = Math.round(perSecond * seconds);
  for (let sent = 0; sent < total; ) {
    // The first is due at once.
    const due = Math.min(total, 1 + Math.floor(((performance.now() - startedAt) / 1000) * perSecond));
    for (; sent < due; sent++) {
      const dueAt = startedAt + (sent / perSecond) * 1000;
      const slot = free.pop();
      if (slot === undefined) waiting.push(dueAt);
      else start(slot, dueAt);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  while (pending.size > 0) await Promise.all(pending);
  return summarize(latencies, failures, startedAt);
}

function summarize(latencies: number[], failures: number, startedAt: number): Load {
  const seconds = (performance.now() - startedAt) / 1000;
  return { calls: latencies.length, failures, seconds, latencies: Float64Array.from(latencies).sort() };
}

export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
