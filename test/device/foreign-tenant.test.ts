import { expect, test } from 'vitest';
import { outcomeOf } from '../support/device-flow.ts';
import { startOAuth } from '../support/oauth.ts';
import { refusalOf } from '../support/refusal.ts';
import { wires } from '../support/start.ts';

const otherProjectId = '00000000-0000-7000-8000-000000000002';

test.each(wires)('over %s the codes of another tenant are as unknown as codes that were never issued', async (wire) => {
  const { service, as, authorize, redeem, post } = await startOAuth({ skipChecks: ['orphans'] });
  const { devices } = service.clients(wire);
  const device = await devices.requestDeviceCode({});
  const approved = await devices.requestDeviceCode({});
  await devices.approveDevice({ userCode: approved.userCode }, as);
  const forClient = await authorize();
  const cli = await devices.startCliLogin({});
  const machine = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
  const { cliCode } = await devices.createDashboardCode({}, as);
  const known = await devices.requestDeviceCode({});
  await service.database.query(`insert into projects values ($1, 'other', now())`, [otherProjectId]);
  await service.database.query('update login_attempts set project_id = $1 where code_hash <> all($2)', [
    otherProjectId,
    (
      await service.database.query<{ code_hash: Buffer }>(
        'select code_hash from login_attempts order by id desc limit 1',
      )
    ).map(({ code_hash }) => code_hash),
  ]);
  expect(await outcomeOf(devices.pollDeviceToken({ deviceCode: known.deviceCode }))).toBe('AUTHORIZATION_PENDING');
  const neverIssued = device.deviceCode.replace(/.{8}$/, 'AAAAAAAA');
  const unknown = await refusalOf(devices.pollDeviceToken({ deviceCode: neverIssued }));
  for (const deviceCode of [device.deviceCode, approved.deviceCode])
    expect(await refusalOf(devices.pollDeviceToken({ deviceCode }))).toEqual(unknown);
  const unknownGrant = await redeem(neverIssued);
  expect(unknownGrant).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  for (const code of [
    forClient.device_code,
    forClient.user_code,
    forClient.device_code.slice(0, -8),
    approved.deviceCode,
  ]) {
    const { status, body } = await redeem(code);
    expect({ status, body }).toEqual({ status: unknownGrant.status, body: unknownGrant.body });
  }
  const reasons = {
    approval: await outcomeOf(devices.approveDevice({ userCode: device.userCode }, as)),
    page: await outcomeOf(devices.getDeviceCode({ userCode: device.userCode }, as)),
    denial: await outcomeOf(devices.denyDevice({ userCode: device.userCode }, as)),
    dashboard: await outcomeOf(devices.redeemDashboardCode({ proof: { case: 'cliCode', value: cliCode } })),
    cli: await outcomeOf(devices.pollCliLogin({ pollingCode: cli.pollingCode })),
    machine: await outcomeOf(devices.pollFingerprintLogin({ pollingCode: machine.pollingCode })),
  };
  expect(Object.values(reasons).filter((each) => /OK|PENDING|DENIED|EXPIRED|USED/.test(each))).toEqual([]);
  expect(await service.database.query('select id from api_keys')).toEqual([]);
  const states = await service.database.query('select state from login_attempts where project_id = $1 order by state', [
    otherProjectId,
  ]);
  expect(states.map(({ state }) => state).filter((each) => each === 'redeemed' || each === 'denied')).toEqual([]);
  expect((await post('/oauth2/revoke', { client_id: 'tv', token: 'x' })).status).toBe(200);
});
