import http from 'node:http';
import net from 'node:net';
import { fromBinary } from '@bufbuild/protobuf';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** The Connect code of an error, like `invalid_argument`. */
  readonly code: string | undefined;
  readonly reason: string | undefined;
  readonly fields: readonly string[];
  readonly retryAfter: number | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: a response as any client sees it
  readonly json: any;
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

/** Sends a request that our clients would not send, and reads the response as any HTTP client would. JSON by default. */
export function send(port: number, { method = 'POST', path, headers = {}, body = '' }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const length = 'transfer-encoding' in headers ? {} : { 'content-length': Buffer.byteLength(body) };
    const content = method === 'POST' ? { 'content-type': 'application/json', ...length } : {};
    const request = http.request({ host: '127.0.0.1', port, method, path, agent, headers: { ...content, ...headers } });
    request.on('error', reject);
    request.on('response', async (response) => {
      const parts: Buffer[] = await response.toArray();
      resolve(read(response.statusCode!, response.headers, Buffer.concat(parts)));
    });
    request.end(method === 'POST' ? body : undefined);
  });
}

interface Detail {
  readonly type: string;
  readonly value: string;
}

function read(status: number, headers: http.IncomingHttpHeaders, body: Buffer): RawAnswer {
  const text = body.toString();
  const json = headers['content-type']?.startsWith('application/json') && text ? JSON.parse(text) : undefined;
  const details: readonly Detail[] = json?.details ?? [];
  const detail = (type: string) =>
    details.filter((each) => each.type === type).map((each) => Buffer.from(each.value, 'base64'));
  const [retry] = detail(RetryInfoSchema.typeName).map((each) => fromBinary(RetryInfoSchema, each).retryDelay);
  return {
    status,
    headers,
    text,
    json,
    code: json?.code,
    reason: detail(ErrorInfoSchema.typeName).map((each) => fromBinary(ErrorInfoSchema, each).reason)[0],
    fields: detail(BadRequestSchema.typeName).flatMap((each) =>
      fromBinary(BadRequestSchema, each).fieldViolations.map(({ field }) => field),
    ),
    retryAfter: retry && Number(retry.seconds) + retry.nanos / 1e9,
  };
}

/** A connection on which anything can be written. Collects what comes back until the other side closes. */
export class RawConnection {
  readonly socket: net.Socket;
  readonly #closed: Promise<void>;
  received = '';

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setEncoding('latin1').on('data', (data: string) => {
      this.received += data;
    });
    // A server that cuts a client off may do so with a reset.
    socket.on('error', () => {});
    this.#closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  static open(port: number): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => resolve(new RawConnection(socket)));
    });
  }

  write(data: string | Buffer): void {
    this.socket.write(data);
  }

  /** What came until the server closed the connection, and how long that took in milliseconds. */
  async end(patience: number): Promise<{ received: string; closed: boolean; ms: number }> {
    const since = performance.now();
    const timer = Promise.withResolvers<boolean>();
    const timeout = setTimeout(() => timer.resolve(false), patience);
    const closed = await Promise.race([this.#closed.then(() => true), timer.promise]);
    clearTimeout(timeout);
    this.socket.destroy();
    return { received: this.received, closed, ms: performance.now() - since };
  }
}
