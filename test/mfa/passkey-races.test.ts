// @serializable
import { describe, expect, test } from 'vitest';
import { registerPasskey, signInWithPasskey, useSecurityKey } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { reasonOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

async function racing(method: string) {
  const barrier = new Barrier(method);
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const { as, user } = await service.welcome(verifiedAda);
  return { barrier, service, as, user };
}

/** How many calls failed for each reason. */
function tally(errors: readonly unknown[]): Record<string, number> {
  const reasons = errors.map((each) => reasonOf(each) ?? 'none');
  return Object.fromEntries([...new Set(reasons)].map((each) => [each, reasons.filter((it) => it === each).length]));
}

describe.each(wires)('over %s', (wire) => {
  test('one challenge signs in once', async () => {
    const { barrier, service, as } = await racing('FinishPasskeySignIn');
    const device = new SoftwareAuthenticator({ isSynced: true });
    await registerPasskey(service.clients(wire), as, device);
    const { requestOptions } = await service.clients(wire).mfa.startPasskeySignIn({});
    const credential = device.get(requestOptions!);
    const before = await service.database.query('select id from sessions');
    barrier.expect(crowd);
    const { answers, errors } = await together((i) => service.clients(wire, i).mfa.finishPasskeySignIn({ credential }));
    expect(answers).toHaveLength(1);
    expect(tally(errors)).toEqual({ MFA_CHALLENGE_EXPIRED: crowd - 1 });
    expect(await service.database.query('select id from sessions')).toHaveLength(before.length + 1);
  });

  test('of copies of a device-bound key with one counter, one signs in', async () => {
    const { barrier, service, as } = await racing('FinishPasskeySignIn');
    const device = new SoftwareAuthenticator();
    await registerPasskey(service.clients(wire), as, device);
    const responses: ReturnType<SoftwareAuthenticator['get']>[] = [];
    for (let i = 0; i < crowd; i++) {
      const { requestOptions } = await service.clients(wire).mfa.startPasskeySignIn({});
      responses.push(device.get(requestOptions!, { signCount: 9 }));
    }
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).mfa.finishPasskeySignIn({ credential: responses[i]! }),
    );
    expect(answers).toHaveLength(1);
    expect(tally(errors)).toEqual({ PASSKEY_VERIFICATION_FAILED: crowd - 1 });
  });

  test('one challenge registers one passkey', async () => {
    const { barrier, service, as } = await racing('FinishPasskeyRegistration');
    const { challengeId, creationOptions } = await service.clients(wire).mfa.startPasskeyRegistration({}, as);
    // A challenge admits five attempts.
    const credentials = Array.from({ length: 5 }, () => new SoftwareAuthenticator().create(creationOptions!));
    barrier.expect(5);
    const { answers, errors } = await together(
      (i) =>
        service.clients(wire, i).mfa.finishPasskeyRegistration({ challengeId, credential: credentials[i % 5]! }, as),
      crowd,
    );
    expect(answers).toHaveLength(1);
    expect(tally(errors)).toEqual({ MFA_CHALLENGE_EXPIRED: crowd - 1 });
    expect((await service.clients(wire).mfa.listPasskeys({}, as)).passkeys).toHaveLength(1);
  });

  test('parallel registrations respect the limit of ten', async () => {
    const { barrier, service, as } = await racing('FinishPasskeyRegistration');
    const clients = service.clients(wire);
    for (let i = 0; i < 9; i++) await registerPasskey(clients, as, new SoftwareAuthenticator());
    const begun = [];
    for (let i = 0; i < crowd; i++) begun.push(await clients.mfa.startPasskeyRegistration({}, as));
    const requests = begun.map(({ challengeId, creationOptions }) => ({
      challengeId,
      credential: new SoftwareAuthenticator().create(creationOptions!),
    }));
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).mfa.finishPasskeyRegistration(requests[i]!, as),
    );
    expect(answers).toHaveLength(1);
    expect(tally(errors)).toEqual({ FACTOR_LIMIT_REACHED: crowd - 1 });
  });

  test('one credential is registered once, whichever users try', async () => {
    const { barrier, service, as } = await racing('FinishPasskeyRegistration');
    const clients = service.clients(wire);
    const { as: asBob } = await service.welcome({
      email: 'bob@example.org',
      password: 'an analytical mind',
      emailVerified: true,
    });
    const requests: {
      challengeId: string;
      credential: ReturnType<SoftwareAuthenticator['create']>;
      caller: typeof as;
    }[] = [];
    const credentialId = Buffer.alloc(32, 5);
    for (const caller of [as, asBob]) {
      const { challengeId, creationOptions } = await clients.mfa.startPasskeyRegistration({}, caller);
      const credential = new SoftwareAuthenticator().create(creationOptions!, { credentialId });
      requests.push({ challengeId, credential, caller });
    }
    barrier.expect(2);
    const { answers, errors } = await together((i) => {
      const { caller, ...request } = requests[i]!;
      return service.clients(wire, i).mfa.finishPasskeyRegistration(request, caller);
    }, 2);
    expect(answers).toHaveLength(1);
    expect(tally(errors)).toEqual({ AUTHENTICATOR_ALREADY_REGISTERED: 1 });
  });

  test('of the last two passkeys one stays', async () => {
    const { barrier, service, as, user } = await racing('DeletePasskey');
    const clients = service.clients(wire);
    await registerPasskey(clients, as, new SoftwareAuthenticator());
    await registerPasskey(clients, as, new SoftwareAuthenticator());
    await service.database.query('update users set password_hash = null, email_verified_at = null where id = $1', [
      user.id,
    ]);
    const { passkeys } = await clients.mfa.listPasskeys({}, as);
    barrier.expect(crowd);
    const { answers } = await together((i) =>
      service.clients(wire, i).mfa.deletePasskey({ passkeyId: passkeys[i % 2]!.id }, as),
    );
    expect(answers).toHaveLength(1);
    expect((await clients.mfa.listPasskeys({}, as)).passkeys).toHaveLength(1);
  });

  test('one challenge raises a session once', async () => {
    const { barrier, service, as } = await racing('VerifyFactor');
    const device = new SoftwareAuthenticator({ isSynced: true });
    const { factorId, tokens } = await useSecurityKey(service.clients(wire), as, device);
    const raised = bearer(tokens!);
    const { challengeId, requestOptions } = await service.clients(wire).mfa.challengeFactor({ factorId }, raised);
    const proof = { case: 'credential', value: device.get(requestOptions!) } as const;
    barrier.expect(5);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).mfa.verifyFactor({ factorId, challengeId, proof }, raised),
    );
    expect(answers).toHaveLength(1);
    expect(tally(errors)).toEqual({ MFA_CHALLENGE_EXPIRED: crowd - 1 });
  });

  test('a passkey that is deleted opens no session afterwards', async () => {
    const { barrier, service, as } = await racing('FinishPasskeySignIn');
    const clients = service.clients(wire);
    const device = new SoftwareAuthenticator();
    const { passkey } = await registerPasskey(clients, as, device);
    const { requestOptions } = await clients.mfa.startPasskeySignIn({});
    const credential = device.get(requestOptions!);
    barrier.expect(2);
    const signIn = clients.mfa.finishPasskeySignIn({ credential }).catch((error: unknown) => reasonOf(error));
    await clients.mfa.deletePasskey({ passkeyId: passkey!.id }, as);
    expect(await signIn).toBe('PASSKEY_UNKNOWN');
    expect((await signInReason(service.clients(wire), device)) ?? '').toBe('PASSKEY_UNKNOWN');
  });
});

function signInReason(clients: Parameters<typeof signInWithPasskey>[0], device: SoftwareAuthenticator) {
  return signInWithPasskey(clients, device).then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
}
