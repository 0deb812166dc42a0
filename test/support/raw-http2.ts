import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export const frameType = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
const endStream = 1;
const endHeaders = 4;

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A frame of HTTP/2 (RFC 9113, section 4.1). */
export function h2Frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Headers in HPACK, each as a literal that is not indexed (RFC 7541, section 6.2.2). */
export function hpack(headers: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(Object.entries(headers).flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([
    bytes.length < 127 ? Buffer.of(bytes.length) : Buffer.of(127, ...septets(bytes.length - 127)),
    bytes,
  ]);
}

function septets(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...septets(value >>> 7)];
}

/** The header frame of a gRPC call, which opens a stream. */
export function openCall(stream: number, path: string, headers: Readonly<Record<string, string>> = {}): Buffer {
  const all = {
    ':method': 'POST',
    ':scheme': 'http',
    ':authority': 'x',
    ':path': path,
    te: 'trailers',
    'content-type': 'application/grpc',
    ...headers,
  };
  return h2Frame(frameType.headers, endHeaders, stream, hpack(all));
}

/** An empty message, which ends the request. */
export function emptyMessage(stream: number): Buffer {
  return h2Frame(frameType.data, endStream, stream, Buffer.alloc(5));
}

export function reset(stream: number): Buffer {
  return h2Frame(frameType.reset, 0, stream, Buffer.of(0, 0, 0, 8));
}

/** An HTTP/2 connection that keeps to no rule but the frames' own. */
export class RawHttp2 {
  readonly socket: net.Socket;
  readonly seen: SeenFrame[] = [];
  isClosed = false;
  #unread = Buffer.alloc(0);

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('data', (data) => this.#read(data as Buffer));
  }

  static async open(port: number): Promise<RawHttp2> {
    const socket = net.connect(port, '127.0.0.1');
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    const connection = new RawHttp2(socket);
    connection.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), h2Frame(frameType.settings, 0, 0));
    return connection;
  }

  send(...frames: readonly Buffer[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(frames));
  }

  of(type: number): SeenFrame[] {
    return this.seen.filter((each) => each.type === type);
  }

  /** Waits until the condition holds, for at most so many milliseconds. Returns whether it does. */
  async until(holds: () => boolean, patience = 2000): Promise<boolean> {
    const since = performance.now();
    while (!holds() && performance.now() - since < patience) await sleep(5);
    return holds();
  }

  close(): void {
    this.socket.destroy();
  }

  #read(data: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, data]);
    while (this.#unread.length >= 9 && this.#unread.length >= 9 + this.#unread.readUIntBE(0, 3)) {
      const length = this.#unread.readUIntBE(0, 3);
      this.seen.push({
        type: this.#unread.readUInt8(3),
        flags: this.#unread.readUInt8(4),
        stream: this.#unread.readUInt32BE(5),
        payload: this.#unread.subarray(9, 9 + length),
      });
      this.#unread = this.#unread.subarray(9 + length);
    }
  }
}
