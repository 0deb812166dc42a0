import type { Run } from './methods.ts';
import type { TestService, Wire } from './start.ts';

const nonce = 'n'.repeat(22);

/** Runs every method of logins by user codes and dashboard codes in an order in which each succeeds. */
export async function callGrantMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { devices } = service.clients(wire);
  const dora = { email: 'dora@example.org', password: 'dora has a long one', emailVerified: true };
  const { as } = await service.welcome(dora);
  const keyed = await step('RequestDeviceCode', () => devices.requestDeviceCode({}));
  const typed = { userCode: keyed.userCode };
  await step('GetDeviceCode', () => devices.getDeviceCode(typed, as));
  await step('ApproveDevice', () => devices.approveDevice(typed, as));
  const take = { deviceCode: keyed.deviceCode, clientNonce: nonce };
  await step('PollDeviceToken', () => devices.pollDeviceToken(take));
  await step('PollDeviceToken (repeated)', () => devices.pollDeviceToken(take));
  const { deviceCode, userCode } = await devices.requestDeviceCode({ credential: 2 });
  await devices.approveDevice({ userCode }, as);
  await step('PollDeviceToken (session)', () => devices.pollDeviceToken({ deviceCode, clientNonce: nonce }));
  await step('PollDeviceToken (session repeated)', () => devices.pollDeviceToken({ deviceCode, clientNonce: nonce }));
  const denied = await devices.requestDeviceCode({});
  await step('DenyDevice', () => devices.denyDevice({ userCode: denied.userCode }, as));
  await callDashboardMethods(service, wire, step, as);
  const { devices: listed } = await step('ListDevices', () => devices.listDevices({}, as));
  await step('RevokeDevice', () => devices.revokeDevice({ deviceId: listed[0]!.id }, as));
  await step('RevokeDevice (session)', () => devices.revokeDevice({ deviceId: listed.at(-2)!.id }, as));
}

async function callDashboardMethods(
  service: TestService,
  wire: Wire,
  step: Run,
  as: Awaited<ReturnType<TestService['welcome']>>['as'],
): Promise<void> {
  const { devices } = service.clients(wire);
  const redeem = (proof: { case: 'cliCode' | 'pollingCode'; value: string }) =>
    devices.redeemDashboardCode({ proof, clientNonce: nonce });
  const { cliCode } = await step('CreateDashboardCode', () => devices.createDashboardCode({}, as));
  await step('GetDashboardCode', () => devices.getDashboardCode({ cliCode }, as));
  await step('RedeemDashboardCode', () => redeem({ case: 'cliCode', value: cliCode }));
  const { cliCode: short } = await devices.createDashboardCode({ isShort: true }, as);
  const claim = () => redeem({ case: 'cliCode', value: short });
  const { pollingCode } = await step('RedeemDashboardCode (claim)', claim);
  await step('RedeemDashboardCode (claim repeated)', claim);
  await step('ApproveDashboardCode', () => devices.approveDashboardCode({ cliCode: short }, as));
  await step('RedeemDashboardCode (polling)', () => redeem({ case: 'pollingCode', value: pollingCode }));
  const denied = await devices.createDashboardCode({ isShort: true }, as);
  await step('DenyDashboardCode', () => devices.denyDashboardCode({ cliCode: denied.cliCode }, as));
}

/** The statements that each of these steps costs at most. */
export const grantCosts: Readonly<Record<string, number>> = {
  RequestDeviceCode: 4,
  GetDeviceCode: 2,
  ApproveDevice: 7,
  PollDeviceToken: 10,
  'PollDeviceToken (repeated)': 3,
  'PollDeviceToken (session)': 11,
  'PollDeviceToken (session repeated)': 3,
  DenyDevice: 7,
  CreateDashboardCode: 7,
  GetDashboardCode: 2,
  RedeemDashboardCode: 10,
  'RedeemDashboardCode (claim)': 5,
  'RedeemDashboardCode (claim repeated)': 2,
  ApproveDashboardCode: 7,
  'RedeemDashboardCode (polling)': 10,
  DenyDashboardCode: 7,
  ListDevices: 1,
  RevokeDevice: 7,
  'RevokeDevice (session)': 7,
};
