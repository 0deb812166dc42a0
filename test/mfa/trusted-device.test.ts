import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { codeOf, useApp } from '../support/authenticator.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, type Clients, start, type Wire, wires } from '../support/start.ts';

const verified = <Person extends object>(person: Person) => ({ ...person, emailVerified: true });

/** Ada with a factor, on a device that she trusts. */
async function withDevice(wire: Wire, env: Record<string, string> = {}) {
  const service = await start({ env });
  const clients = service.clients(wire);
  const { as, user } = await service.welcome(verified(ada));
  const { factorId, secret } = await useApp(clients, as, service.now());
  /** Verifies the factor in a session, with the next code. */
  const verify = async (caller: ReturnType<typeof bearer>, trustDevice: boolean) => {
    service.pass(30);
    const { challengeId } = await clients.mfa.challengeFactor({ factorId }, caller);
    const proof = { case: 'code' as const, value: codeOf(secret, service.now()) };
    return clients.mfa.verifyFactor({ factorId, challengeId, proof, trustDevice }, caller);
  };
  const trusting = await verify(as, true);
  const raised = bearer(trusting.tokens!);
  return { service, clients, user, factorId, raised, verify, trusting, token: trusting.trustedDeviceToken };
}

async function isTrusted({ auth }: Clients, trustedDeviceToken: string, person: typeof ada = ada): Promise<boolean> {
  return (await auth.signIn({ ...person, trustedDeviceToken })).trustedDevice;
}

describe.each(wires)('over %s', (wire) => {
  test('a device is trusted for some days, and its sessions stay at AAL1', async () => {
    const { service, clients, token, trusting } = await withDevice(wire);
    expect(token).toMatch(/^ghtd_[A-Za-z0-9_-]{64}$/);
    const [created, ends] = [service.now().getTime() / 1000, Number(trusting.trustedDeviceExpireTime!.seconds)];
    expect(Math.round((ends - created) / 86_400)).toBe(30);
    const signedIn = await clients.auth.signIn({ ...ada, trustedDeviceToken: token });
    expect(signedIn).toMatchObject({ trustedDevice: true, session: { aal: AssuranceLevel.AAL1 } });
    const key = clients.devices.createApiKey({ name: 'x' }, bearer(signedIn.tokens!));
    expect((await refusalOf(key)).reason).toBe('INSUFFICIENT_AAL');
    expect(await isTrusted(clients, '')).toBe(false);
    service.pass(30 * 86_400);
    expect(await isTrusted(clients, token)).toBe(false);
  });

  test('a token that was altered, or is used for another user, is ignored', async () => {
    const { service, clients, token } = await withDevice(wire);
    await service.welcome(verified(bob));
    expect(await isTrusted(clients, token, bob)).toBe(false);
    expect(await isTrusted(clients, `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`)).toBe(false);
    expect(await isTrusted(clients, 'ghtd_')).toBe(false);
    expect(await isTrusted(clients, token)).toBe(true);
  });

  test('only what the user asks for is trusted, and nothing where it is off', async () => {
    const { raised, verify } = await withDevice(wire);
    expect((await verify(raised, false)).trustedDeviceToken).toBe('');
    const off = await withDevice(wire, { TRUSTED_DEVICE_DAYS: 'off' });
    expect(off.token).toBe('');
    expect((await off.clients.mfa.listTrustedDevices({}, off.raised)).trustedDevices).toEqual([]);
  });

  test('a device is listed, and forgotten by its user alone', async () => {
    const { service, clients, raised, token } = await withDevice(wire);
    const { trustedDevices } = await clients.mfa.listTrustedDevices({}, raised);
    expect(trustedDevices).toHaveLength(1);
    const { as: asBob } = await service.welcome(verified(bob));
    const foreign = clients.mfa.revokeTrustedDevice({ trustedDeviceId: trustedDevices[0]!.id }, asBob);
    expect((await refusalOf(foreign)).reason).toBe('TRUSTED_DEVICE_NOT_FOUND');
    expect(await isTrusted(clients, token)).toBe(true);
    await clients.mfa.revokeTrustedDevice({ trustedDeviceId: trustedDevices[0]!.id }, raised);
    expect(await isTrusted(clients, token)).toBe(false);
  });

  test.each(['password change', 'sign-out of others', 'removal of the factor', 'another factor', 'operator'])(
    'trust ends with: %s',
    async (what) => {
      const { service, clients, raised, token, user, factorId } = await withDevice(wire);
      const newPassword = 'a difference engine no. 2';
      if (what === 'password change')
        await clients.auth.changePassword({ currentPassword: ada.password, newPassword }, raised);
      if (what === 'sign-out of others') await clients.sessions.signOut({ scope: SignOutScope.OTHERS }, raised);
      if (what === 'removal of the factor') await clients.mfa.unenrollFactor({ factorId }, raised);
      if (what === 'another factor') await useApp(clients, raised, service.now(), 'tablet');
      if (what === 'operator')
        await clients.admin.revokeUserSessions({ whose: { case: 'userId', value: user.id } }, asService);
      const password = what === 'password change' ? newPassword : ada.password;
      expect(await isTrusted(clients, token, { ...ada, password })).toBe(false);
    },
  );

  test('the removal of an unfinished app ends no trust', async () => {
    const { clients, raised, token } = await withDevice(wire);
    const { factor } = await clients.mfa.enrollFactor({ type: FactorType.TOTP, friendlyName: 'tablet' }, raised);
    await clients.mfa.unenrollFactor({ factorId: factor!.id }, raised);
    expect(await isTrusted(clients, token)).toBe(true);
  });

  test('a user trusts twenty devices, and a further one takes the place of the oldest', async () => {
    const { clients, raised, verify, token } = await withDevice(wire);
    for (let i = 0; i < 20; i++) await verify(raised, true);
    expect((await clients.mfa.listTrustedDevices({}, raised)).trustedDevices).toHaveLength(20);
    expect(await isTrusted(clients, token)).toBe(false);
  });

  test('where a factor is required, a trusted device is not asked for it, and another one is', async () => {
    const { clients, token } = await withDevice(wire, { MFA_REQUIRED_FOR: 'everyone' });
    const trusted = await clients.auth.signIn({ ...ada, trustedDeviceToken: token });
    expect(trusted.tokens!.factorRequired).toBe(false);
    await clients.sessions.listSessions({}, bearer(trusted.tokens!));
    const { tokens } = await clients.sessions.refresh({ refreshToken: trusted.tokens!.refreshToken });
    expect(tokens!.factorRequired).toBe(false);
    await clients.sessions.listSessions({}, bearer(tokens!));
    const other = await clients.auth.signIn(ada);
    expect(other.tokens!.factorRequired).toBe(true);
    expect((await refusalOf(clients.sessions.listSessions({}, bearer(other.tokens!)))).reason).toBe('FACTOR_REQUIRED');
  });

  test('the token is stored as a hash', async () => {
    const { service, token } = await withDevice(wire);
    const rows = await service.database.query('select encode(hash, $1) as hash from trusted_devices', ['hex']);
    expect(JSON.stringify(rows)).not.toContain(Buffer.from(token).toString('hex'));
    expect(rows).toHaveLength(1);
  });
});
