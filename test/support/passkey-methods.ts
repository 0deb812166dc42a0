import type { Run } from './methods.ts';
import { registerPasskey, signInWithPasskey, useSecurityKey, verifyWithDevice } from './passkeys.ts';
import { refusalOf } from './refusal.ts';
import { SoftwareAuthenticator } from './software-authenticator.ts';
import { bearer, type TestService, type Wire } from './start.ts';

const henry = { email: 'henry@example.org', password: 'henry has a long one', emailVerified: true };

/** Runs every method about passkeys and security keys in an order in which each succeeds. */
export async function callPasskeyMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const clients = service.clients(wire);
  const { mfa } = clients;
  const { as } = await service.welcome(henry);
  const device = new SoftwareAuthenticator();
  const { challengeId, creationOptions } = await step('StartPasskeyRegistration', () =>
    mfa.startPasskeyRegistration({}, as),
  );
  const registration = { challengeId, credential: device.create(creationOptions!), friendlyName: 'laptop' };
  const { passkey } = await step('FinishPasskeyRegistration', () => mfa.finishPasskeyRegistration(registration, as));
  const passkeyId = passkey!.id;
  const { requestOptions } = await step('StartPasskeySignIn', () => mfa.startPasskeySignIn({}));
  const credential = device.get(requestOptions!);
  await step('FinishPasskeySignIn', () => mfa.finishPasskeySignIn({ credential }));
  await refusalOf(signInWithPasskey(clients, device, { tamper: true }));
  await refusalOf(signInWithPasskey(clients, device, { signCount: 1 }));
  await registerPasskey(clients, as, new SoftwareAuthenticator());
  await step('ListPasskeys', () => mfa.listPasskeys({}, as));
  await step('RenamePasskey', () => mfa.renamePasskey({ passkeyId, friendlyName: 'old laptop' }, as));
  await step('DeletePasskey', () => mfa.deletePasskey({ passkeyId }, as));
  const key = new SoftwareAuthenticator();
  const { factorId, tokens } = await useSecurityKey(clients, as, key);
  await verifyWithDevice(clients, bearer(tokens!), factorId, key);
}

/** The statements that each of these steps costs at most. */
export const passkeyCosts: Readonly<Record<string, number>> = {
  StartPasskeyRegistration: 7,
  FinishPasskeyRegistration: 12,
  StartPasskeySignIn: 1,
  FinishPasskeySignIn: 12,
  ListPasskeys: 1,
  RenamePasskey: 8,
  DeletePasskey: 10,
};
