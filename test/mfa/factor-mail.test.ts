import { describe, expect, test } from 'vitest';
import { codeOf, enrollApp, useApp, verifyCode } from '../support/authenticator.ts';
import { mailsTo } from '../support/inbox.ts';
import { registerPasskey, signInWithPasskey, useSecurityKey } from '../support/passkeys.ts';
import { ada, asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const env = { MAIL_GAP: '0s' };

/** The mails about factors, without those about new devices. */
async function notices(service: TestService): Promise<{ subject: string; text: string }[]> {
  const mails = await mailsTo(service, ada.email);
  return mails.filter(({ subject }) => subject !== 'A new sign-in to your account');
}

describe.each(wires)('over %s', (wire) => {
  test('the owner is notified when a factor counts, and of the sessions that were revoked by it', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    await service.signIn(ada, {
      'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
    });
    const { factorId } = await enrollApp(clients, as);
    expect(await notices(service)).toEqual([]);
    await clients.mfa.unenrollFactor({ factorId }, as);
    expect(await notices(service), 'an enrolment that was given up').toEqual([]);
    await useApp(clients, as, service.now(), 'my <phone>');
    const [mail, ...others] = await notices(service);
    expect(others).toEqual([]);
    expect(mail!.subject).toBe('A second factor was added');
    expect(mail!.text).toContain('Factor: my <phone>');
    expect(mail!.text).toContain('signed out, because the factor was not used in them: Firefox on Linux');
  });

  test('a factor that revokes no session is a mail without sessions, and verifying it again sends no mail', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, secret, tokens } = await useApp(clients, as, service.now());
    service.pass(30);
    await verifyCode(clients, bearer(tokens!), factorId, codeOf(secret, service.now()));
    const mails = await notices(service);
    expect(mails.map(({ subject }) => subject)).toEqual(['A second factor was added']);
    expect(mails[0]!.text).not.toContain('signed out');
  });

  test('the owner is notified of a removed factor, of new recovery codes and of each one that was used', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, tokens } = await useApp(clients, as, service.now());
    const raised = bearer(tokens!);
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, raised);
    for (const code of codes.slice(0, 2))
      await verifyCode(clients, bearer((await service.signIn()).tokens), factor!.id, code);
    await clients.mfa.unenrollFactor({ factorId }, raised);
    const mails = await notices(service);
    expect(mails.map(({ subject }) => subject)).toEqual([
      'A second factor was added',
      'New recovery codes were created',
      'A recovery code was used',
      'A recovery code was used',
      'A second factor was removed',
    ]);
    expect(mails[2]!.text).toContain('Codes left: 9');
    expect(mails[3]!.text).toContain('Codes left: 8');
    for (const code of codes) expect(JSON.stringify(mails)).not.toContain(code);
  });

  test('the owner is notified of a security key and a passkey that come and go', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const { passkey } = await registerPasskey(clients, as, device, { friendlyName: 'my <laptop>' });
    const { factorId, tokens } = await useSecurityKey(clients, as, new SoftwareAuthenticator());
    const raised = bearer(tokens!);
    await clients.mfa.deletePasskey({ passkeyId: passkey!.id }, raised);
    await clients.mfa.unenrollFactor({ factorId }, raised);
    const mails = await notices(service);
    expect(mails.map(({ subject }) => subject)).toEqual([
      'A passkey was added',
      'A second factor was added',
      'A passkey was deleted',
      'A second factor was removed',
    ]);
    expect(mails.map(({ text }) => /(Passkey|Factor): (.*)/.exec(text)![2])).toEqual([
      'my <laptop>',
      'key',
      'my <laptop>',
      'key',
    ]);
  });

  test('the owner is notified once of five wrong codes in a row', async () => {
    const service = await start({ env: { ...env, LIMITS: 'AuthService.SignIn=off' } });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId } = await useApp(clients, as, service.now());
    const again = (await service.signIn()).as;
    const reasons: (string | undefined)[] = [];
    for (let time = 0; time < 7; time++)
      reasons.push((await refusalOf(verifyCode(clients, again, factorId, '000000'))).reason);
    const wrong = 'MFA_VERIFICATION_FAILED';
    const busy = 'OVER_REQUEST_RATE_LIMIT';
    expect(reasons).toEqual([wrong, wrong, wrong, wrong, wrong, busy, busy]);
    const failures = (await notices(service)).filter(({ subject }) => subject === 'Wrong codes of your second factor');
    expect(failures).toHaveLength(1);
    expect(failures[0]!.text).toContain('Factor: phone');
  });

  test('an operator or a backend removes the factors of a user who has lost them', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const { tokens, session } = await useApp(clients, as, service.now());
    await clients.mfa.generateRecoveryCodes({}, bearer(tokens!));
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, bearer(tokens!), device);
    const operator = await service.operator();
    const listed = await clients.admin.listUserFactors({ userId: user.id }, operator.as);
    expect(listed.factors.map(({ friendlyName, remainingCodes }) => [friendlyName, remainingCodes])).toEqual([
      ['phone', 0],
      ['', 10],
      ['', 0],
    ]);
    await clients.admin.removeUserFactors({ userId: user.id }, operator.as);
    await clients.admin.removeUserFactors({ userId: user.id }, operator.as);
    expect((await clients.admin.listUserFactors({ userId: user.id }, operator.as)).factors).toEqual([]);
    expect((await refusalOf(signInWithPasskey(clients, device))).reason, 'passkeys go too').toBe('PASSKEY_UNKNOWN');
    const assurance = await clients.mfa.getAssurance({}, bearer(tokens!));
    expect(assurance).toMatchObject({ currentAal: 1, nextAal: 1, factors: [] });
    expect((await clients.sessions.getSession({ sessionId: session!.id }, as)).session).toMatchObject({ aal: 1 });
    expect((await notices(service)).map(({ subject }) => subject)).toEqual([
      'A second factor was added',
      'New recovery codes were created',
      'A passkey was added',
      'Your second factors were removed',
    ]);
    const { events } = await clients.admin.listAuditEvents({ action: 'user.remove_factors' }, asService);
    expect(events).toMatchObject([{ userId: user.id, actorId: operator.user.id }]);
  });

  test('only a backend removes the factors of an operator', async () => {
    const service = await start({ env });
    const { admin, mfa } = service.clients(wire);
    const { user } = await service.operator({ ...ada });
    const other = await service.operator();
    const refused = admin.removeUserFactors({ userId: user.id }, other.as);
    expect((await refusalOf(refused)).reason).toBe('CALLER_NOT_ALLOWED');
    const own = admin.removeUserFactors({ userId: other.user.id }, other.as);
    expect((await refusalOf(own)).reason).toBe('CANNOT_REMOVE_SELF');
    await admin.updateUser({ userId: user.id, emailVerified: true }, asService);
    const { as } = await service.signIn();
    await useApp({ mfa }, as, service.now());
    await admin.removeUserFactors({ userId: user.id }, asService);
    expect((await admin.listUserFactors({ userId: user.id }, asService)).factors).toEqual([]);
  });
});
