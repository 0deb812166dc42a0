import http2 from 'node:http2';
import { fromBinary } from '@bufbuild/protobuf';
import { BadRequestSchema, ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';

export interface GrpcAnswer {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  readonly trailers: http2.IncomingHttpHeaders;
  /** The gRPC status code. Undefined when the stream ended without one. */
  readonly code: number | undefined;
  readonly message: string;
  readonly reason: string | undefined;
  readonly fields: readonly string[];
  readonly body: Buffer;
  /** The HTTP/2 error code with which the stream was reset, 0 for none. */
  readonly resetBy: number;
}

/** A gRPC message as it goes over the wire: a flag, its length, its bytes. `claimed` may lie about the length. */
export function frame(bytes: Uint8Array = new Uint8Array(), { flag = 0, claimed = bytes.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag);
  head.writeUInt32BE(claimed, 1);
  return Buffer.concat([head, bytes]);
}

/** A gRPC client that can send what no gRPC client would: HTTP/2 frames by hand. */
export class RawGrpc {
  readonly session: http2.ClientHttp2Session;

  constructor(port: number, options: http2.ClientSessionOptions = {}) {
    this.session = http2.connect(`http://127.0.0.1:${port}`, options);
    this.session.on('error', () => {});
  }

  call(path: string, body: Buffer, headers: http2.OutgoingHttpHeaders = {}): Promise<GrpcAnswer> {
    return new Promise((resolve) => {
      const content = { 'content-type': 'application/grpc', te: 'trailers' };
      const stream = this.session.request({ ':method': 'POST', ':path': path, ...content, ...headers });
      let answered: GrpcAnswer['headers'] = {};
      let trailers: GrpcAnswer['trailers'] = {};
      const parts: Buffer[] = [];
      stream.on('response', (each) => {
        answered = each;
      });
      stream.on('trailers', (each) => {
        trailers = each;
      });
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('error', () => {});
      stream.on('close', () => resolve(read(answered, trailers, Buffer.concat(parts), stream.rstCode)));
      stream.end(body);
    });
  }

  close(): void {
    this.session.destroy();
  }
}

function read(
  headers: GrpcAnswer['headers'],
  trailers: GrpcAnswer['trailers'],
  body: Buffer,
  resetBy: number,
): GrpcAnswer {
  // A response without a message has its trailers in the headers.
  const all = { ...headers, ...trailers };
  const details = all['grpc-status-details-bin'];
  const status = typeof details === 'string' ? fromBinary(StatusSchema, Buffer.from(details, 'base64')) : undefined;
  const detail = (name: string) => status?.details.filter((each) => each.typeUrl.endsWith(`/${name}`)) ?? [];
  const code = all['grpc-status'];
  return {
    headers,
    trailers,
    code: code === undefined ? undefined : Number(code),
    message: decodeURIComponent(String(all['grpc-message'] ?? '')),
    reason: detail(ErrorInfoSchema.typeName).map((each) => fromBinary(ErrorInfoSchema, each.value).reason)[0],
    fields: detail(BadRequestSchema.typeName).flatMap((each) =>
      fromBinary(BadRequestSchema, each.value).fieldViolations.map(({ field }) => field),
    ),
    body,
    resetBy,
  };
}
