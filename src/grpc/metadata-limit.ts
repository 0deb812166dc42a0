import type { Server } from '@grpc/grpc-js';

/** Bytes that the metadata of a call may have, each entry counted with 32 more (RFC 9113, section 6.5.2). */
const largestMetadata = 64 * 1024;

/**
 * Resets the stream of a call with more metadata, and tells clients so beforehand: grpc-go, grpc-java and gRPC core then
 * fail the call themselves. Without the limit nghttp2 ends the connection, with all of its calls, at 64 KiB of one value
 * as it is encoded or eight CONTINUATION frames; a client that does not heed the limit still gets there.
 */
export function limitMetadata(server: Server): void {
  // grpc-js has no option for it. These are what it opens its HTTP/2 servers with.
  const { commonServerOptions: options } = server as unknown as { commonServerOptions: { settings?: object } };
  options.settings = { ...options.settings, maxHeaderListSize: largestMetadata };
}
