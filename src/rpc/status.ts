import type { Code } from '@connectrpc/connect';
import { status } from '@grpc/grpc-js';

/** gRPC's name of a status, for both transports: OK, INVALID_ARGUMENT. */
export function statusName(code: Code | 0): string {
  return status[code] ?? 'UNKNOWN';
}

const failures: readonly number[] = [
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
];

/** Whether a status is an error of the server and not of the caller, by OpenTelemetry's conventions. */
export function isFailure(code: Code): boolean {
  return failures.includes(code);
}
