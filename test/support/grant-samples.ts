import type { JsonObject } from '@bufbuild/protobuf';
import type { CallOptions } from '@connectrpc/connect';
import type { TestService } from './start.ts';

type Person = { email: string; password: string; name: string };

const nonce = 'n'.repeat(22);

/**
 * The samples of logins by user codes and dashboard codes. The caller's address is verified. A new dashboard code voids the
 * earlier ones of its user, so each sample of such a code has a user of its own.
 */
export function grantSamples(service: TestService, as: CallOptions, newcomer: () => Person) {
  const { devices } = service.clients('json');
  const owners: Record<string, Record<string, string>> = {};
  const userCode = async () => ({ userCode: (await devices.requestDeviceCode({})).userCode });
  const dashboard = (name: string, isShort: boolean) => async () => {
    const owner = (await service.welcome({ ...newcomer(), emailVerified: true })).as;
    owners[`DeviceService.${name}`] = owner.headers;
    const { cliCode } = await devices.createDashboardCode({ isShort }, owner);
    if (isShort) await devices.redeemDashboardCode({ proof: { case: 'cliCode', value: cliCode } });
    return { cliCode };
  };
  const signIn = async () => {
    const { deviceCode, userCode } = await devices.requestDeviceCode({});
    await devices.approveDevice({ userCode }, as);
    await devices.pollDeviceToken({ deviceCode });
    return (await devices.listDevices({}, as)).devices[0]!.id;
  };
  const requests: Record<string, () => JsonObject | Promise<JsonObject>> = {
    'DeviceService.RequestDeviceCode': () => ({
      clientName: 'a tool',
      credential: 'DEVICE_CREDENTIAL_API_KEY',
      scopes: ['AccountService.GetUsage'],
    }),
    'DeviceService.GetDeviceCode': userCode,
    'DeviceService.ApproveDevice': userCode,
    'DeviceService.DenyDevice': userCode,
    'DeviceService.PollDeviceToken': async () => {
      const { deviceCode, userCode } = await devices.requestDeviceCode({});
      await devices.approveDevice({ userCode }, as);
      return { deviceCode, clientNonce: nonce };
    },
    'DeviceService.CreateDashboardCode': () => ({ isShort: true }),
    'DeviceService.GetDashboardCode': dashboard('GetDashboardCode', false),
    'DeviceService.ApproveDashboardCode': dashboard('ApproveDashboardCode', true),
    'DeviceService.DenyDashboardCode': dashboard('DenyDashboardCode', true),
    'DeviceService.RedeemDashboardCode': async () => ({
      ...(await dashboard('', false)()),
      clientName: 'a tool',
      clientNonce: nonce,
    }),
    'DeviceService.ListDevices': async () => {
      await signIn();
      await signIn();
      return { pageSize: 1, pageToken: (await devices.listDevices({ pageSize: 1 }, as)).nextPageToken };
    },
    'DeviceService.RevokeDevice': async () => ({ deviceId: await signIn() }),
  };
  return { requests, headersOf: (name: string) => owners[name] };
}

/** Requests that the methods of these logins refuse. */
export function grantRefusals(
  as: CallOptions,
  nobody: string,
): Record<string, [request: object, headers?: Record<string, string>][]> {
  const headers = as.headers as Record<string, string>;
  const userCode = 'BBBB-BBBB';
  const cliCode = 'BBBB-BBBB-BBBB-BBBB-BBBB-BBBB';
  return {
    'DeviceService.RequestDeviceCode': [[{ scopes: ['x'] }]],
    'DeviceService.GetDeviceCode': [[{ userCode }, headers]],
    'DeviceService.ApproveDevice': [[{ userCode }, headers], [{ userCode }]],
    'DeviceService.DenyDevice': [[{ userCode }, headers]],
    'DeviceService.PollDeviceToken': [[{ deviceCode: 'x' }], [{ deviceCode: 'x', clientNonce: 'x' }]],
    'DeviceService.CreateDashboardCode': [[{}]],
    'DeviceService.GetDashboardCode': [[{ cliCode }, headers]],
    'DeviceService.ApproveDashboardCode': [[{ cliCode }, headers]],
    'DeviceService.DenyDashboardCode': [[{ cliCode }, headers]],
    'DeviceService.RedeemDashboardCode': [[{ proof: { case: 'cliCode', value: cliCode } }], [{}]],
    'DeviceService.ListDevices': [[{ pageToken: 'x' }, headers]],
    'DeviceService.RevokeDevice': [[{ deviceId: nobody }, headers]],
  };
}
