import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';

/** An id for the `request_id` of a request: a random UUID (version 4), also where a page has no `crypto.randomUUID`. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

// ConsumeUsage is called often, and with an id the service writes one more row. A retried CreateApiKey would return a key
// without its secret.
const unnamed: readonly object[] = [AccountService.method.consumeUsage, DeviceService.method.createApiKey];

/** Gives every call that creates something an id of its own, so that it can be retried, except the two above. */
export function withRequestIds(transport: Transport): Transport {
  return {
    stream: (...call) => transport.stream(...call),
    unary(method, signal, timeoutMs, header, input, contextValues) {
      const isNamed = 'requestId' in method.input.field && !unnamed.includes(method);
      const named = isNamed ? nameRequest(method.input, input) : input;
      return transport.unary(method, signal, timeoutMs, header, named as typeof input, contextValues);
    },
  };
}

function nameRequest(schema: DescMessage, input: MessageInitShape<DescMessage>) {
  const request = create(schema, input) as unknown as { requestId?: string };
  return { ...request, requestId: request.requestId ?? newRequestId() };
}

/** Whether the request has an id, with which it may be sent again. */
export function hasRequestId(input: object): boolean {
  return (input as { requestId?: string }).requestId !== undefined;
}
