import { fromBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Metadata, ServiceError } from '@grpc/grpc-js';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { headersFrom } from '../grpc/metadata.ts';

/** Converts an error of grpc-js into the error that Connect's clients throw, with its details. */
export function connectErrorFrom(failure: unknown): ConnectError {
  if (!isServiceError(failure)) return ConnectError.from(failure);
  const { code, details, metadata } = failure;
  const error = new ConnectError(details, code in Code ? (code as number) : Code.Unknown, headersFrom(metadata));
  error.details = detailsIn(metadata);
  error.cause = failure;
  return error;
}

function isServiceError(failure: unknown): failure is ServiceError {
  return failure instanceof Error && 'code' in failure && 'details' in failure && 'metadata' in failure;
}

// Unreadable details are left out: the code alone is more useful than an error about the error.
function detailsIn(metadata: Metadata): ConnectError['details'] {
  const [bytes] = metadata.get('grpc-status-details-bin');
  if (!(bytes instanceof Uint8Array)) return [];
  try {
    const { details } = fromBinary(StatusSchema, bytes);
    return details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1), value }));
  } catch {
    return [];
  }
}
