import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { codeOf, enrollApp, useApp, verifyCode } from '../support/authenticator.ts';
import { mailsTo } from '../support/inbox.ts';
import { useSecurityKey, verifyWithDevice } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('a recovery code lets its user remove the lost key and enrol another factor, and the next sign-in asks again', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const phone = await useApp(clients, as, service.now());
    const key = new SoftwareAuthenticator();
    const lost = await useSecurityKey(clients, bearer(phone.tokens!), key);
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, bearer(lost.tokens!));
    const low = (await service.signIn()).as;
    const mails = (await mailsTo(service, ada.email)).length;
    const used = await verifyCode(clients, low, factor!.id, codes[0]!);
    expect(used.session).toMatchObject({
      aal: AssuranceLevel.AAL2,
      amr: [{ method: 'recovery_code' }, { method: 'password' }],
    });
    const [notice, ...more] = (await mailsTo(service, ada.email)).slice(mails);
    expect([notice!.subject, more]).toEqual([expect.stringMatching(/recovery code/i), []]);
    const recovered = bearer(used.tokens!);
    await clients.mfa.unenrollFactor({ factorId: lost.factorId }, recovered);
    const next = await useApp(clients, recovered, service.now(), 'new phone');
    const { factors } = await clients.mfa.listFactors({}, bearer(next.tokens!));
    expect(factors.map(({ id }) => id)).toEqual([phone.factorId, factor!.id, next.factorId]);
    await clients.sessions.signOut({ refreshToken: next.tokens!.refreshToken });
    service.pass(30);
    const again = (await service.signIn()).as;
    expect(await clients.mfa.getAssurance({}, again)).toMatchObject({
      currentAal: AssuranceLevel.AAL1,
      nextAal: AssuranceLevel.AAL2,
    });
    expect((await refusalOf(enrollApp(clients, again, 'tablet'))).reason).toBe('INSUFFICIENT_AAL');
    const removed = verifyWithDevice(clients, again, lost.factorId, key);
    expect((await refusalOf(removed)).reason).toBe('FACTOR_NOT_FOUND');
    const verified = await verifyCode(clients, again, next.factorId, codeOf(next.secret, service.now()));
    expect(verified.session!.aal).toBe(AssuranceLevel.AAL2);
  });

  test('the removal of a factor lowers the sessions that it has raised, and no session that another has raised', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const phone = await useApp(clients, as, service.now());
    const tablet = await useApp(clients, bearer(phone.tokens!), service.now(), 'tablet');
    service.pass(30);
    const low = (await service.signIn()).as;
    const other = await verifyCode(clients, low, phone.factorId, codeOf(phone.secret, service.now()));
    await clients.mfa.unenrollFactor({ factorId: phone.factorId }, bearer(tablet.tokens!));
    const levelOf = async (tokens: typeof other.tokens) =>
      (await clients.mfa.getAssurance({}, bearer(tokens!))).currentAal;
    expect([await levelOf(tablet.tokens), await levelOf(other.tokens)]).toEqual([2, 1]);
    const refused = clients.devices.createApiKey({ name: 'x' }, bearer(other.tokens!));
    expect((await refusalOf(refused)).reason).toBe('INSUFFICIENT_AAL');
  });
});
