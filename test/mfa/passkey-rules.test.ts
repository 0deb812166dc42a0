import { describe, expect, test } from 'vitest';
import { useApp } from '../support/authenticator.ts';
import { registerPasskey, signInWithPasskey } from '../support/passkeys.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

describe.each(wires)('over %s', (wire) => {
  test('the last passkey stays while its user could not sign in without it', async () => {
    const service = await start({ env: { MAIL_MODE: 'off' } });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const [first, second] = [new SoftwareAuthenticator(), new SoftwareAuthenticator()];
    const { passkey } = await registerPasskey(clients, as, first);
    await service.database.query('update users set password_hash = null where id = $1', [user.id]);
    const remove = (passkeyId: string) => clients.mfa.deletePasskey({ passkeyId }, as);
    expect((await refusalOf(remove(passkey!.id))).reason).toBe('LAST_FACTOR');
    await signInWithPasskey(clients, first);
    const { passkey: other } = await registerPasskey(clients, as, second);
    await remove(passkey!.id);
    expect((await refusalOf(remove(other!.id))).reason).toBe('LAST_FACTOR');
    await service.database.query("update users set password_hash = '*' where id = $1", [user.id]);
    expect((await refusalOf(remove(other!.id))).reason).toBe('LAST_FACTOR');
    await service.database.query("update users set password_hash = '$argon2id$x' where id = $1", [user.id]);
    await remove(other!.id);
  });

  test('the last passkey may go when mail reaches a verified address', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const { passkey } = await registerPasskey(clients, as, new SoftwareAuthenticator());
    await service.database.query('update users set password_hash = null where id = $1', [user.id]);
    await clients.mfa.deletePasskey({ passkeyId: passkey!.id }, as);
  });

  test('the last passkey may go when a provider signs its user in, if it is configured', async () => {
    const OAUTH_PROVIDERS = JSON.stringify({
      acme: { issuer: 'https://acme.example', client_id: 'a', client_secret: 'b' },
    });
    const service = await start({ env: { MAIL_MODE: 'off', OAUTH_PROVIDERS } });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const { passkey } = await registerPasskey(clients, as, new SoftwareAuthenticator());
    await service.database.query('update users set password_hash = null where id = $1', [user.id]);
    const identify = (provider: string) =>
      service.database.query(
        `insert into identities (id, project_id, user_id, provider, subject, email_verified, name, username, picture_url, created_at)
         select gen_random_uuid(), project_id, id, $2, 'ada', true, '', '', '', now() from users where id = $1`,
        [user.id, provider],
      );
    const remove = () => clients.mfa.deletePasskey({ passkeyId: passkey!.id }, as);
    await identify('former');
    expect((await refusalOf(remove())).reason).toBe('LAST_FACTOR');
    await identify('acme');
    await remove();
  });

  test('only the owner renames and deletes a passkey', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { as: asBob } = await service.welcome({ ...bob, emailVerified: true });
    const { passkey } = await registerPasskey(clients, as, new SoftwareAuthenticator());
    const passkeyId = passkey!.id;
    const renamed = clients.mfa.renamePasskey({ passkeyId, friendlyName: 'mine' }, asBob);
    expect((await refusalOf(renamed)).reason).toBe('PASSKEY_NOT_FOUND');
    expect((await refusalOf(clients.mfa.deletePasskey({ passkeyId }, asBob))).reason).toBe('PASSKEY_NOT_FOUND');
    expect((await clients.mfa.listPasskeys({}, as)).passkeys).toMatchObject([{ id: passkeyId, friendlyName: '' }]);
    await clients.mfa.deletePasskey({ passkeyId: passkeyId.toUpperCase() }, as);
  });

  test('a user has ten passkeys at most, with names of their own', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { challengeId, creationOptions } = await clients.mfa.startPasskeyRegistration({}, as);
    await registerPasskey(clients, as, new SoftwareAuthenticator(), { friendlyName: 'laptop' });
    const named = registerPasskey(clients, as, new SoftwareAuthenticator(), { friendlyName: 'laptop' });
    expect((await refusalOf(named)).reason).toBe('FACTOR_NAME_CONFLICT');
    for (let i = 0; i < 9; i++) await registerPasskey(clients, as, new SoftwareAuthenticator());
    expect((await refusalOf(clients.mfa.startPasskeyRegistration({}, as))).reason).toBe('FACTOR_LIMIT_REACHED');
    const credential = new SoftwareAuthenticator().create({ ...creationOptions!, excludeCredentials: [] });
    const eleventh = clients.mfa.finishPasskeyRegistration({ challengeId, credential }, as);
    expect((await refusalOf(eleventh)).reason).toBe('FACTOR_LIMIT_REACHED');
    expect((await clients.mfa.listPasskeys({}, as)).passkeys).toHaveLength(10);
  });

  test('a passkey is registered by its user alone, after a recent sign-in, a verified address and their factor', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const begin = (as: { headers: Record<string, string> }) => clients.mfa.startPasskeyRegistration({}, as);
    const { as: unverified } = await service.welcome(bob);
    expect((await refusalOf(begin(unverified))).reason).toBe('EMAIL_NOT_VERIFIED');
    expect((await refusalOf(begin((await service.guest()).as))).reason).toBe('GUEST_NOT_ALLOWED');
    const { as } = await service.welcome(verifiedAda);
    const raised = await useApp(clients, as, service.now());
    expect((await refusalOf(begin(as))).reason).toBe('INSUFFICIENT_AAL');
    const { challengeId, creationOptions } = await begin(bearer(raised.tokens!));
    const credential = new SoftwareAuthenticator().create(creationOptions!);
    service.pass(601);
    for (const call of [
      () => begin(bearer(raised.tokens!)),
      () => clients.mfa.finishPasskeyRegistration({ challengeId, credential }, bearer(raised.tokens!)),
    ])
      expect((await refusalOf(call())).reason).toBe('REAUTHENTICATION_REQUIRED');
  });

  test('a passkey opens no session of a user who may not sign in', async () => {
    const service = await start({ env: { REQUIRE_VERIFIED_EMAIL: 'on' } });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    const userId = user.id;
    await clients.admin.banUser({ userId, duration: { seconds: 60n } }, asService);
    expect((await refusalOf(signInWithPasskey(clients, device))).reason).toBe('USER_BANNED');
    service.pass(61);
    await clients.admin.updateUser({ userId, emailVerified: false }, asService);
    expect((await refusalOf(signInWithPasskey(clients, device))).reason).toBe('EMAIL_NOT_VERIFIED');
    await clients.admin.updateUser({ userId, emailVerified: true }, asService);
    await signInWithPasskey(clients, device);
    await clients.admin.deleteUser({ userId }, asService);
    expect((await refusalOf(signInWithPasskey(clients, device))).reason).toBe('PASSKEY_UNKNOWN');
  });

  test('a sign-in with a passkey is noted, mailed about from a new device, and counted by address', async () => {
    const service = await start({ env: { LIMITS: 'MfaService.FinishPasskeySignIn=3' } });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    await service.database.query("update sessions set address = '192.0.2.1', user_agent = 'elsewhere'");
    const { session } = await signInWithPasskey(clients, device);
    const mails = await service.database.query("select id from mail_outbox where kind = 'new_device'");
    expect(mails).toHaveLength(1);
    const events = await service.database.query(
      "select session_id from audit_events where action = 'auth.login' and user_id = $1 order by at desc limit 1",
      [user.id],
    );
    expect(events).toEqual([{ session_id: session!.id }]);
    for (let i = 0; i < 3; i++) await refusalOf(signInWithPasskey(clients, device, { tamper: true }));
    expect((await refusalOf(signInWithPasskey(clients, device))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
  });
});
