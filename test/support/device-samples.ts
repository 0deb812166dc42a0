import type { JsonObject } from '@bufbuild/protobuf';

/** The requests of DeviceService's samples. */
export function deviceSamples(): Record<string, () => JsonObject | Promise<JsonObject>> {
  return {
    'DeviceService.CancelLogin': () => ({ pollingSecret: `ghpc_${'A'.repeat(43)}` }),
  };
}

/** Requests that the methods of DeviceService refuse. */
export function deviceRefusals(): Record<string, [request: object, headers?: Record<string, string>][]> {
  return {
    'DeviceService.CancelLogin': [[{}], [{ pollingSecret: 'x'.repeat(257) }]],
  };
}
