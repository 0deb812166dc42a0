import { describe, expect, test } from 'vitest';
import { enrollApp, useApp } from '../support/authenticator.ts';
import { registerPasskey } from '../support/passkeys.ts';
import { ada, asService, bob } from '../support/people.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const nobody = '019ac5d0-7d3e-7b41-9c55-000000000000';

describe.each(wires)('over %s', (wire) => {
  test('RemoveUserFactors removes the one that is named, and only the sessions that it raised fall', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { admin, mfa, auth } = clients;
    const { as, user } = await service.welcome(verifiedAda);
    const { tokens, factorId } = await useApp(clients, as, service.now());
    const raised = bearer(tokens!);
    const second = await useApp(clients, raised, service.now(), 'tablet');
    const stays = bearer(second.tokens!);
    const removed = await admin.removeUserFactors({ userId: user.id, factorId: factorId.toUpperCase() }, asService);
    expect(removed.factors).toMatchObject([{ id: factorId, friendlyName: 'phone' }]);
    expect((await mfa.listFactors({}, stays)).factors.map(({ id }) => id)).toEqual([second.factorId]);
    expect(await mfa.getAssurance({}, stays)).toMatchObject({ currentAal: 2, nextAal: 2 });
    await admin.removeUserFactors({ userId: user.id, factorId: second.factorId }, asService);
    expect(await mfa.getAssurance({}, stays)).toMatchObject({ currentAal: 1, nextAal: 1 });
    await auth.updateCredentials({ newPassword: 'quite another phrase' }, stays);
    const { events } = await admin.listAuditEvents({ action: 'factor.unenroll' }, asService);
    expect(events.map(({ userId, entityId }) => [userId, entityId])).toEqual([
      [user.id, second.factorId],
      [user.id, factorId],
    ]);
  });

  test('the last factor takes the recovery codes along, and a passkey leaves both', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { admin, mfa } = clients;
    const { as, user } = await service.welcome(verifiedAda);
    const { passkey } = await registerPasskey(clients, as, new SoftwareAuthenticator());
    const { tokens, factorId } = await useApp(clients, as, service.now());
    await mfa.generateRecoveryCodes({}, bearer(tokens!));
    const remaining = async () => (await admin.listUserFactors({ userId: user.id }, asService)).factors.length;
    await admin.removeUserFactors({ userId: user.id, factorId: passkey!.id }, asService);
    expect(await remaining()).toBe(2);
    expect(await mfa.getAssurance({}, bearer(tokens!))).toMatchObject({ currentAal: 2 });
    await admin.removeUserFactors({ userId: user.id, factorId }, asService);
    expect(await remaining()).toBe(0);
  });

  test('finds only a factor of the user who is named', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { admin } = clients;
    const { as } = await service.welcome(verifiedAda);
    const { factorId } = await enrollApp(clients, as);
    const { user: other } = await service.welcome(bob);
    for (const named of [
      { userId: other.id, factorId },
      { userId: other.id, factorId: nobody },
    ]) {
      expect((await refusalOf(admin.removeUserFactors(named, asService))).reason).toBe('FACTOR_NOT_FOUND');
      const renamed = admin.renameUserFactor({ ...named, friendlyName: 'mine' }, asService);
      expect((await refusalOf(renamed)).reason).toBe('FACTOR_NOT_FOUND');
    }
    expect((await clients.mfa.listFactors({}, as)).factors).toMatchObject([{ id: factorId, friendlyName: 'phone' }]);
  });

  test('only a backend removes one factor of an operator, and an operator none of their own', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { admin } = clients;
    const { user } = await service.operator({ ...ada });
    await admin.updateUser({ userId: user.id, emailVerified: true }, asService);
    const { as } = await service.signIn();
    const { factorId } = await enrollApp(clients, as);
    const other = await service.operator();
    const refused = admin.removeUserFactors({ userId: user.id, factorId }, other.as);
    expect((await refusalOf(refused)).reason).toBe('CALLER_NOT_ALLOWED');
    const own = admin.removeUserFactors({ userId: user.id, factorId }, as);
    expect(['CANNOT_REMOVE_SELF', 'INSUFFICIENT_AAL']).toContain((await refusalOf(own)).reason);
    await admin.removeUserFactors({ userId: user.id, factorId }, asService);
    expect((await admin.listUserFactors({ userId: user.id }, asService)).factors).toEqual([]);
  });

  test('RenameUserFactor keeps the names of the factors, and those of the passkeys, apart', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { admin } = clients;
    const { as, user } = await service.welcome(verifiedAda);
    const { passkey } = await registerPasskey(clients, as, new SoftwareAuthenticator(), { friendlyName: 'laptop' });
    const { factorId } = await enrollApp(clients, as, 'phone');
    await enrollApp(clients, as, 'tablet');
    const rename = (factorId: string, friendlyName: string) =>
      admin.renameUserFactor({ userId: user.id, factorId, friendlyName }, asService);
    expect(await rename(factorId, 'tablet').catch(reasonOf)).toBe('FACTOR_NAME_CONFLICT');
    expect((await rename(factorId, 'laptop')).factor).toMatchObject({ id: factorId, friendlyName: 'laptop' });
    expect((await rename(passkey!.id, 'phone')).factor).toMatchObject({ id: passkey!.id, friendlyName: 'phone' });
    const { events } = await admin.listAuditEvents({ userId: user.id }, asService);
    const actions = events.map(({ action }) => action).filter((each) => each.endsWith('.rename'));
    expect(actions).toEqual(['passkey.rename', 'factor.rename']);
  });
});

describe.each(wires)('the state of a refused challenge over %s', (wire) => {
  test('is unknown, used or expired', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { mfa } = clients;
    const { as } = await service.welcome(verifiedAda);
    const { factorId } = await enrollApp(clients, as);
    const verify = async (challengeId: string, code = '000000') => {
      const proof = { case: 'code', value: code } as const;
      const { reason, metadata } = await refusalOf(mfa.verifyFactor({ factorId, challengeId, proof }, as));
      return [reason, metadata.state];
    };
    expect(await verify(nobody)).toEqual(['MFA_CHALLENGE_EXPIRED', 'unknown']);
    const { challengeId } = await mfa.challengeFactor({ factorId }, as);
    const { as: elsewhere } = await service.signIn();
    const proof = { case: 'code', value: '000000' } as const;
    const foreign = await refusalOf(mfa.verifyFactor({ factorId, challengeId, proof }, elsewhere));
    expect(foreign.metadata).toEqual({ state: 'unknown' });
    service.pass(301);
    expect(await verify(challengeId)).toEqual(['MFA_CHALLENGE_EXPIRED', 'expired']);
  });
});
