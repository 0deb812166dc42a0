import type { JsonObject } from '@bufbuild/protobuf';
import { follow } from './login-streams.ts';
import type { Run } from './methods.ts';
import type { bearer, TestService, Wire } from './start.ts';

type CallOptions = ReturnType<typeof bearer>;
type Refused = Record<string, [request: object, headers?: Record<string, string>][]>;

const nonce = 'a-nonce-of-32-characters-_-_-_-_';

/** The auth code in the URL of a login. */
export function authCodeOf({ loginUrl }: { loginUrl: string }): string {
  return new URL(loginUrl).searchParams.get('auth_code')!;
}

/** Confirms a login as the caller and redeems it. */
async function signInMachine({ clients }: TestService, as: CallOptions, fingerprintId: string) {
  const { devices } = clients('json');
  const started = await devices.startFingerprintLogin({ fingerprintId });
  await devices.confirmFingerprintLogin({ authCode: authCodeOf(started) }, as);
  return devices.pollFingerprintLogin({ pollingCode: started.pollingCode });
}

/** The samples of the methods of fingerprint logins, for a caller. */
export function fingerprintSamples(service: TestService, as: CallOptions) {
  const { devices } = service.clients('json');
  let machines = 0;
  const start = () => devices.startFingerprintLogin({ fingerprintId: `machine-${++machines}` });
  const authCode = async () => ({ authCode: authCodeOf(await start()) });
  const requests: Record<string, () => JsonObject | Promise<JsonObject>> = {
    'DeviceService.StartFingerprintLogin': () => ({
      fingerprintId: 'a_machine',
      referralCode: 'ref & code',
      clientName: 'the tool',
    }),
    'DeviceService.GetFingerprintLogin': authCode,
    'DeviceService.ConfirmFingerprintLogin': authCode,
    'DeviceService.DenyFingerprintLogin': authCode,
    'DeviceService.PollFingerprintLogin': async () => {
      const started = await start();
      await devices.confirmFingerprintLogin({ authCode: authCodeOf(started) }, as);
      return { pollingCode: started.pollingCode, clientNonce: nonce };
    },
    'DeviceService.SignOutFingerprint': async () => {
      const { tokens, fingerprintId } = await signInMachine(service, as, `machine-${++machines}`);
      return { refreshToken: tokens!.refreshToken, fingerprintId };
    },
  };
  return { requests, headers: { 'DeviceService.ConfirmFingerprintLogin': () => as.headers } };
}

/** Requests that these methods refuse. */
export function fingerprintRefusals(as: { headers: Record<string, string> }): Refused {
  const authCode = 'a_machine.1764500000000.AQ';
  const pollingCode = `ghpf_${'A'.repeat(43)}`;
  const onCode: Refused[string] = [[{ authCode }], [{ authCode }, as.headers], [{}, as.headers]];
  return {
    'DeviceService.StartFingerprintLogin': [
      [{}],
      [{ fingerprintId: 'a.b' }],
      [{ fingerprintId: 'x'.repeat(129) }],
      [{ fingerprintId: 'a', clientName: 'a\u202eb' }],
    ],
    'DeviceService.GetFingerprintLogin': onCode,
    'DeviceService.ConfirmFingerprintLogin': onCode,
    'DeviceService.DenyFingerprintLogin': onCode,
    'DeviceService.PollFingerprintLogin': [[{ pollingCode }], [{ pollingCode: authCode }], [{}]],
    'DeviceService.SignOutFingerprint': [[{}], [{ refreshToken: 'x', fingerprintId: '' }]],
  };
}

/** Runs these methods in an order in which each succeeds. */
export async function callFingerprintMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { devices } = service.clients(wire);
  const violet = { email: 'violet@example.org', password: 'a phrase that is long', emailVerified: true };
  const { as } = await service.welcome(violet);
  const fingerprintId = 'the_machine_of_violet';
  const login = await step('StartFingerprintLogin', () => devices.startFingerprintLogin({ fingerprintId }));
  const denied = await devices.startFingerprintLogin({ fingerprintId });
  const authCode = authCodeOf(login);
  const { pollingCode } = login;
  await step('GetFingerprintLogin', () => devices.getFingerprintLogin({ authCode }, as));
  await step('DenyFingerprintLogin', () => devices.denyFingerprintLogin({ authCode: authCodeOf(denied) }, as));
  const awaited = await devices.startFingerprintLogin({ fingerprintId });
  await step('AwaitLogin (until CancelLogin)', async () => {
    const stream = follow(devices.awaitLogin({ pollingSecret: awaited.pollingCode }));
    await stream.saw(1);
    await devices.cancelLogin({ pollingSecret: awaited.pollingCode });
    await stream.ended;
  });
  await step('PollFingerprintLogin', () => devices.pollFingerprintLogin({ pollingCode }));
  await step('ConfirmFingerprintLogin', () => devices.confirmFingerprintLogin({ authCode }, as));
  const poll = () => devices.pollFingerprintLogin({ pollingCode, clientNonce: nonce });
  const { tokens } = await step('PollFingerprintLogin (confirmed)', poll);
  await step('PollFingerprintLogin (repeated)', poll);
  const { refreshToken } = tokens!;
  await step('SignOutFingerprint', () => devices.signOutFingerprint({ refreshToken, fingerprintId }));
}

/** The statements that each call may cost at most, including begin and commit of a transaction. */
export const fingerprintCosts: Readonly<Record<string, number>> = {
  StartFingerprintLogin: 4,
  GetFingerprintLogin: 2,
  DenyFingerprintLogin: 7,
  PollFingerprintLogin: 1,
  ConfirmFingerprintLogin: 8,
  'PollFingerprintLogin (confirmed)': 12,
  'PollFingerprintLogin (repeated)': 2,
  SignOutFingerprint: 5,
  'AwaitLogin (until CancelLogin)': 6,
};
