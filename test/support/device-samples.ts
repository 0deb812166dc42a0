import type { JsonObject } from '@bufbuild/protobuf';
import { fingerprintRefusals, fingerprintSamples } from './fingerprint-samples.ts';
import type { TestService } from './start.ts';

type Headers = Readonly<Record<string, string>>;

export interface DeviceSamples {
  readonly requests: Record<string, () => JsonObject | Promise<JsonObject>>;
  /** The headers of methods whose caller is not the one of other samples. */
  readonly headers: Record<string, () => Headers>;
}

/** The samples of DeviceService. */
export async function deviceSamples(
  service: TestService,
  newcomer: () => { email: string; password: string },
): Promise<DeviceSamples> {
  const { as } = await service.welcome({ ...newcomer(), emailVerified: true });
  const ofFingerprints = fingerprintSamples(service, as);
  return {
    requests: {
      ...ofFingerprints.requests,
      'DeviceService.CancelLogin': () => ({ pollingSecret: `ghpc_${'A'.repeat(43)}` }),
    },
    headers: {
      ...ofFingerprints.headers,
    },
  };
}

/** Requests that the methods of DeviceService refuse. */
export function deviceRefusals(as: {
  headers: Record<string, string>;
}): Record<string, [request: object, headers?: Record<string, string>][]> {
  return {
    ...fingerprintRefusals(as),
    'DeviceService.CancelLogin': [[{}], [{ pollingSecret: 'x'.repeat(257) }]],
  };
}
