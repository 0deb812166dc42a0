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
  const { devices } = service.clients('json');
  const { as } = await service.welcome({ ...newcomer(), emailVerified: true });
  const ofFingerprints = fingerprintSamples(service, as);
  const login = async () => {
    const { tokens } = await service.guest();
    return devices.startCliLogin({ anonRefreshToken: tokens.refreshToken });
  };
  const loginCode = async () => ({ loginCode: (await login()).loginCode });
  const nonce = 'a-nonce-of-32-characters-_-_-_-_';
  return {
    requests: {
      ...ofFingerprints.requests,
      'DeviceService.StartCliLogin': async () => ({
        lifetime: '600s',
        anonRefreshToken: (await service.guest()).tokens.refreshToken,
        clientName: 'the tool',
      }),
      'DeviceService.CheckCliLogin': loginCode,
      'DeviceService.ClaimCliGuest': loginCode,
      'DeviceService.CompleteCliLogin': async () => ({
        ...(await loginCode()),
        guestDisposition: 'GUEST_DISPOSITION_KEEP',
      }),
      'DeviceService.DenyCliLogin': loginCode,
      'DeviceService.PollCliLogin': async () => {
        const { loginCode, pollingCode } = await devices.startCliLogin({});
        await devices.completeCliLogin({ loginCode }, { headers: as.headers });
        return { pollingCode, clientNonce: nonce };
      },
      'DeviceService.CancelLogin': async () => ({ pollingSecret: (await login()).pollingCode }),
    },
    headers: {
      ...ofFingerprints.headers,
      'DeviceService.CompleteCliLogin': () => as.headers,
    },
  };
}

/** Requests that the methods of DeviceService refuse. */
export function deviceRefusals(as: {
  headers: Record<string, string>;
}): Record<string, [request: object, headers?: Record<string, string>][]> {
  const loginCode = `ghlc_${'A'.repeat(43)}`;
  const pollingCode = `ghpc_${'A'.repeat(43)}`;
  return {
    ...fingerprintRefusals(as),
    'DeviceService.StartCliLogin': [
      [{ anonRefreshToken: 'nonsense' }],
      [{ lifetime: { seconds: 86_401n } }],
      [{ clientName: 'a\u202eb' }],
    ],
    'DeviceService.CheckCliLogin': [[{ loginCode }], [{ loginCode: pollingCode }], [{}]],
    'DeviceService.ClaimCliGuest': [[{ loginCode }], [{}]],
    'DeviceService.CompleteCliLogin': [
      [{ loginCode }],
      [{ loginCode }, as.headers],
      [{ loginCode, guestDisposition: 9 }, as.headers],
    ],
    'DeviceService.DenyCliLogin': [[{ loginCode }], [{ loginCode }, as.headers]],
    'DeviceService.PollCliLogin': [
      [{ pollingCode }],
      [{ pollingCode: loginCode }],
      [{ pollingCode, clientNonce: 'x' }],
    ],
    'DeviceService.CancelLogin': [[{}], [{ pollingSecret: 'x'.repeat(257) }]],
  };
}
