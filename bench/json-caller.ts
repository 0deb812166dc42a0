import { connect, type Socket } from 'node:net';
import type { Answer } from './generator.ts';

/**
 * A client for JSON that costs as little as Node allows: one kept-alive connection with one request at a time, written
 * beforehand, and responses that are not parsed.
 */
export class JsonCaller {
  readonly #address: URL;
  readonly #head: string;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #idle: Promise<void> = Promise.resolve();
  #waiting: PromiseWithResolvers<Answer> | undefined;

  constructor(address: string, path: string, bearer?: string, verb: 'GET' | 'POST' = 'POST') {
    this.#address = new URL(`http://${address}`);
    const authorization = bearer && `authorization: Bearer ${bearer}`;
    const lines = [`host: ${address}`, 'content-type: application/json', 'accept: */*', 'user-agent: gatehouse-bench'];
    this.#head = [`${verb} ${path} HTTP/1.1`, ...lines, ...(authorization ? [authorization] : []), ''].join('\r\n');
  }

  /** Calls with a message in JSON, after the calls that are under way. */
  call(request: Buffer): Promise<Answer> {
    const answer = this.#idle.then(() => this.#send(request));
    this.#idle = answer.then(ignore, ignore);
    return answer;
  }

  #send(request: Buffer): Promise<Answer> {
    this.#waiting = Promise.withResolvers<Answer>();
    // Servers close connections that are idle.
    if (!this.#socket?.writable) this.#socket = this.#connect();
    this.#socket.write(`${this.#head}content-length: ${request.length}\r\n\r\n${request.toString('latin1')}`, 'latin1');
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
    const message = this.#received.subarray(end + 4);
    if (message.length < Number(/content-length: (\d+)/i.exec(head)?.[1])) return;
    this.#received = Buffer.alloc(0);
    const status = head.startsWith('HTTP/1.1 200') ? 0 : Number(head.slice(9, 12));
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status, message, reason: status === 0 ? '' : message.toString() });
  }
}

function ignore(): void {}
