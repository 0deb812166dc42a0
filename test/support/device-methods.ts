import { callFingerprintMethods, fingerprintCosts } from './fingerprint-samples.ts';
import type { Run } from './methods.ts';
import type { TestService, Wire } from './start.ts';

/** Runs every method of DeviceService in an order in which each succeeds. */
export async function callDeviceMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { devices } = service.clients(wire);
  const wendy = { email: 'wendy@example.org', password: 'a phrase that is long', emailVerified: true };
  const { as } = await service.welcome(wendy);
  const guest = async () => ({ anonRefreshToken: (await service.guest()).tokens.refreshToken });
  const clientNonce = 'a-nonce-of-32-characters-_-_-_-_';
  const { loginCode, pollingCode } = await step('StartCliLogin', () => devices.startCliLogin({}));
  const withGuest = await guest();
  const merged = await step('StartCliLogin (guest)', () => devices.startCliLogin(withGuest));
  await step('CheckCliLogin', () => devices.checkCliLogin({ loginCode: merged.loginCode }));
  const claimed = await devices.startCliLogin(await guest());
  await step('ClaimCliGuest', () => devices.claimCliGuest({ loginCode: claimed.loginCode }));
  await step('DenyCliLogin', () => devices.denyCliLogin({ loginCode: claimed.loginCode }, as));
  await step('PollCliLogin', () => devices.pollCliLogin({ pollingCode }));
  await step('CompleteCliLogin', () => devices.completeCliLogin({ loginCode }, as));
  await step('PollCliLogin (approved)', () => devices.pollCliLogin({ pollingCode, clientNonce }));
  await step('PollCliLogin (repeated)', () => devices.pollCliLogin({ pollingCode, clientNonce }));
  await step('CompleteCliLogin (merge)', () => devices.completeCliLogin({ loginCode: merged.loginCode }, as));
  await step('CancelLogin', () => devices.cancelLogin({ pollingSecret: merged.pollingCode }));
  await step('CancelLogin (unknown)', () => devices.cancelLogin({ pollingSecret: `ghpc_${'A'.repeat(43)}` }));
  await callFingerprintMethods(service, wire, step);
}

/** How many statements each call may send, including begin and commit. */
export const deviceCosts: Readonly<Record<string, number>> = {
  ...fingerprintCosts,
  StartCliLogin: 4,
  'StartCliLogin (guest)': 5,
  CheckCliLogin: 2,
  ClaimCliGuest: 8,
  DenyCliLogin: 7,
  PollCliLogin: 1,
  CompleteCliLogin: 7,
  'PollCliLogin (approved)': 10,
  'PollCliLogin (repeated)': 2,
  'CompleteCliLogin (merge)': 15,
  CancelLogin: 5,
  'CancelLogin (unknown)': 1,
};

/** Parallel redemptions of one login: all but the first read it again. */
export async function raceDeviceMethods(service: TestService, wire: Wire): Promise<void> {
  const { devices } = service.clients(wire);
  const { as } = await service.welcome({
    email: 'walter@example.org',
    password: 'a phrase that is long',
    emailVerified: true,
  });
  const { loginCode, pollingCode } = await devices.startCliLogin({});
  await devices.completeCliLogin({ loginCode }, as);
  await Promise.all(Array.from({ length: 3 }, () => devices.pollCliLogin({ pollingCode })));
}
