import { connect, type Socket } from 'node:net';
import type { Answer } from './generator.ts';

/**
 * An HTTP/1.1 client that costs as little as Node allows: one kept-alive connection with one request at a time, whose
 * header is written beforehand, and responses that are not parsed.
 */
export class HttpCaller {
  readonly #address: URL;
  readonly #head: string;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #idle: Promise<void> = Promise.resolve();
  #waiting: PromiseWithResolvers<Answer> | undefined;

  constructor(
    address: string,
    request: `${'GET' | 'POST'} /${string}`,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.#address = new URL(`http://${address}`);
    const all = { host: address, accept: '*/*', 'user-agent': 'gatehouse-bench', ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
    this.#head = [`${request} HTTP/1.1`, ...lines, ''].join('\r\n');
  }

  /** Calls with a body, after the calls that are under way. */
  call(body?: Buffer): Promise<Answer> {
    const answer = this.#idle.then(() => this.#send(body));
    this.#idle = answer.then(ignore, ignore);
    return answer;
  }

  #send(body?: Buffer): Promise<Answer> {
    this.#waiting = Promise.withResolvers<Answer>();
    // Servers close connections that are idle.
    if (!this.#socket?.writable) this.#socket = this.#connect();
    const rest = body ? `content-length: ${body.length}\r\n\r\n${body.toString('latin1')}` : '\r\n';
    this.#socket.write(this.#head + rest, 'latin1');
    return this.#waiting.promise;
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket?.end();
  }

  #connect(): Socket {
    const { hostname: host, port } = this.#address;
    return connect({ host, port: Number(port), noDelay: true })
      .on('data', (part: Buffer) => this.#read(part))
      .on('error', (error) => this.#waiting?.reject(error))
      .on('close', () => this.#waiting?.reject(new Error('the connection was closed')));
  }

  #read(part: Buffer): void {
    this.#received = this.#received.length === 0 ? part : Buffer.concat([this.#received, part]);
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#received.toString('latin1', 0, end);
    const message = bodyIn(head, this.#received.subarray(end + 4));
    if (!message) return;
    this.#received = Buffer.alloc(0);
    const status = head.startsWith('HTTP/1.1 200') ? 0 : Number(head.slice(9, 12));
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status, message, reason: status === 0 ? '' : message.toString() });
  }
}

/** The body after a header. Undefined until all of it has arrived. */
function bodyIn(head: string, received: Buffer): Buffer | undefined {
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) return received.length < Number(length) ? undefined : received;
  if (!/transfer-encoding: chunked/i.test(head)) return received;
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = received.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(received.toString('latin1', at, lineEnd), 16);
    at = lineEnd + 2 + size + 2;
    if (at > received.length) return undefined;
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(received.subarray(lineEnd + 2, at - 2));
  }
}

function ignore(): void {}
