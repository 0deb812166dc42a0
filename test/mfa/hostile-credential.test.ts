import type { JsonObject } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { registerPasskey, signInWithPasskey, useSecurityKey, verifyWithDevice } from '../support/passkeys.ts';
import { ada, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { type Deviation, flags, SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const verifiedBob = { ...bob, emailVerified: true };

/** Deviations of a signed response, and the check that fails. */
const signed: readonly (readonly [check: string, deviation: Deviation])[] = [
  ['type', { clientData: { type: 'webauthn.create' } }],
  ['type', { clientData: { type: 'payment.get' } }],
  ['cross_origin', { clientData: { crossOrigin: true } }],
  ['cross_origin', { clientData: { crossOrigin: true, topOrigin: 'http://evil.test' } }],
  ['cross_origin', { clientData: { topOrigin: 'http://gatehouse.test' } }],
  ['cross_origin', { clientData: { crossOrigin: 'false' } }],
  ['origin', { clientData: { origin: 'http://evil.test' } }],
  ['rp_id', { rpId: 'evil.test' }],
  ['rp_id', { rpId: 'test' }],
  ['user_presence', { flip: flags.present }],
  ['backup_flags', { flip: flags.backedUp }],
  ['backup_flags', { flip: flags.eligible }],
  ['backup_flags', { flip: flags.eligible | flags.backedUp }],
  ['encoding', { trailing: Buffer.of(0) }],
  ['encoding', { flip: flags.extensions }],
  ['encoding', { flip: flags.extensions, trailing: Buffer.from('a0a0', 'hex') }],
  ['encoding', { flip: flags.attested }],
  ['signature', { tamper: true }],
  ['credential', { credentialId: Buffer.alloc(32, 7) }],
];

describe.each(wires)('over %s', (wire) => {
  test('a sign-in that deviates is refused with the check that failed, and leaves nothing', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    const before = await sessionsOf(service);
    for (const [check, deviation] of signed) {
      const refusal = await refusalOf(signInWithPasskey(clients, device, deviation));
      const reason = check === 'credential' ? 'PASSKEY_UNKNOWN' : 'PASSKEY_VERIFICATION_FAILED';
      expect([check, refusal.reason]).toEqual([check, reason]);
      expect(refusal.metadata.check).toBe(check === 'credential' ? undefined : check);
    }
    const withoutPin = await refusalOf(signInWithPasskey(clients, device, { flip: flags.verified }));
    expect(withoutPin.reason).toBe('PASSKEY_NEEDS_USER_VERIFICATION');
    expect(await sessionsOf(service)).toBe(before);
    await signInWithPasskey(clients, device);
  });

  test('a verification that deviates is refused, and does not lock the factor', async () => {
    const service = await start({ env: { LIMITS: 'MfaService.ChallengeFactor:session=off' } });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const { factorId, tokens } = await useSecurityKey(clients, as, device);
    const raised = bearer(tokens!);
    for (const [check, deviation] of signed) {
      const refusal = await refusalOf(verifyWithDevice(clients, raised, factorId, device, deviation));
      expect(refusal).toMatchObject({ reason: 'MFA_VERIFICATION_FAILED', metadata: { check } });
    }
    await verifyWithDevice(clients, raised, factorId, device);
  });

  test('a challenge is good for one sign-in, its own ceremony and nobody else', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { mfa } = clients;
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator({ isSynced: true });
    const { passkey } = await registerPasskey(clients, as, device);
    const { requestOptions } = await mfa.startPasskeySignIn({});
    const challenge = requestOptions!.challenge as string;
    const credential = device.get(requestOptions!);
    await mfa.finishPasskeySignIn({ credential });
    const signing = (challenge: unknown) => signInWithPasskey(clients, device, { clientData: { challenge } });
    const factorId = passkey!.id;
    const asked = await mfa.challengeFactor({ factorId }, as);
    const bytes = Buffer.from(challenge, 'base64url');
    const laterExpiry = Buffer.from(bytes);
    laterExpiry[20]! ^= 1;
    const others = [
      challenge.slice(0, -1),
      `${challenge}=`,
      bytes.subarray(0, 24).toString('base64url'),
      laterExpiry.toString('base64url'),
      Buffer.alloc(56, 1).toString('base64url'),
      asked.requestOptions!.challenge,
      '',
      null,
      7,
    ];
    expect((await refusalOf(mfa.finishPasskeySignIn({ credential }))).reason).toBe('MFA_CHALLENGE_EXPIRED');
    for (const other of others) expect((await refusalOf(signing(other))).reason).toBe('MFA_CHALLENGE_EXPIRED');
    // A challenge of the sign-in page in a signed-in session.
    const fresh = (await mfa.startPasskeySignIn({})).requestOptions!;
    const proof = { case: 'credential', value: device.get(fresh) } as const;
    const crossed = mfa.verifyFactor({ factorId, challengeId: asked.challengeId, proof }, as);
    expect(await refusalOf(crossed)).toMatchObject({ metadata: { check: 'challenge' } });
  });

  test('the challenge of a session is good there alone', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { mfa } = clients;
    const { as } = await service.welcome(verifiedAda);
    const { as: asBob } = await service.welcome(verifiedBob);
    const second = bearer((await clients.auth.signIn(ada)).tokens!);
    const [device, fresh] = [new SoftwareAuthenticator(), new SoftwareAuthenticator()];
    const { passkey } = await registerPasskey(clients, as, device);
    const { challengeId, creationOptions } = await mfa.startPasskeyRegistration({}, as);
    const credential = fresh.create(creationOptions!);
    for (const caller of [second, asBob])
      expect((await refusalOf(mfa.finishPasskeyRegistration({ challengeId, credential }, caller))).reason).toBe(
        'MFA_CHALLENGE_EXPIRED',
      );
    const factorId = passkey!.id;
    const asked = await mfa.challengeFactor({ factorId }, as);
    const proof = { case: 'credential', value: device.get(asked.requestOptions!) } as const;
    const verify = (caller: typeof as) => mfa.verifyFactor({ factorId, challengeId: asked.challengeId, proof }, caller);
    expect((await refusalOf(verify(second))).reason).toBe('MFA_CHALLENGE_EXPIRED');
    expect((await refusalOf(verify(asBob))).reason).toBe('FACTOR_NOT_FOUND');
    service.pass(301);
    expect((await refusalOf(mfa.finishPasskeyRegistration({ challengeId, credential }, as))).reason).toBe(
      'MFA_CHALLENGE_EXPIRED',
    );
    expect((await refusalOf(verify(as))).reason).toBe('MFA_CHALLENGE_EXPIRED');
  });

  test('a signature opens the account of its credential, whatever handle stands beside it', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { as: asBob, user: bobUser } = await service.welcome(verifiedBob);
    const [mine, victims] = [new SoftwareAuthenticator(), new SoftwareAuthenticator()];
    const { passkey } = await registerPasskey(clients, as, mine);
    await registerPasskey(clients, asBob, victims);
    const handle = Buffer.from(bobUser.id.replaceAll('-', ''), 'hex').toString('base64url');
    const handles = [handle, null, '', 'AA', 'x'.repeat(90), 'e30', `${handle}AA`];
    for (const userHandle of handles) {
      const refusal = await refusalOf(signInWithPasskey(clients, mine, { userHandle }));
      expect(['PASSKEY_UNKNOWN', 'PASSKEY_VERIFICATION_FAILED']).toContain(refusal.reason);
    }
    // My assertion under the id of the victim's credential.
    const credentialId = Buffer.from(victims.ids[0]!, 'base64url');
    const forged = signInWithPasskey(clients, mine, { userHandle: handle, credentialId });
    expect((await refusalOf(forged)).metadata.check).toBe('signature');
    const elsewhere = verifyWithDevice(clients, as, passkey!.id, mine, { userHandle: handle });
    expect((await refusalOf(elsewhere)).metadata.check).toBe('user_handle');
  });

  test('a response of one ceremony is refused by the other', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { mfa } = clients;
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    const { challengeId, creationOptions } = await mfa.startPasskeyRegistration({}, as);
    const { challenge } = creationOptions!;
    const assertion = device.get({ rpId: 'gatehouse.test', challenge: challenge! });
    const registered = mfa.finishPasskeyRegistration({ challengeId, credential: assertion }, as);
    expect((await refusalOf(registered)).reason).toBe('PASSKEY_NOT_ACCEPTED');
    const { requestOptions } = await mfa.startPasskeySignIn({});
    const attestation = new SoftwareAuthenticator().create({
      ...creationOptions!,
      challenge: requestOptions!.challenge!,
    });
    const signedIn = mfa.finishPasskeySignIn({ credential: attestation });
    expect((await refusalOf(signedIn)).reason).toBe('PASSKEY_VERIFICATION_FAILED');
    const { factor } = await mfa.enrollFactor({ type: FactorType.WEBAUTHN }, as);
    const asked = await mfa.challengeFactor({ factorId: factor!.id }, as);
    const proof = { case: 'code', value: '123456' } as const;
    const coded = mfa.verifyFactor({ factorId: factor!.id, challengeId: asked.challengeId, proof }, as);
    expect((await refusalOf(coded)).reason).toBe('MFA_VERIFICATION_FAILED');
  });

  test.each<[what: string, change: (credential: JsonObject) => unknown]>([
    ['nothing', () => ({})],
    ['no response', ({ id, rawId, type }) => ({ id, rawId, type })],
    ['a response of another shape', (each) => ({ ...each, response: ['clientDataJSON'] })],
    ['another raw id', (each) => ({ ...each, rawId: 'AA' })],
    ['another type', (each) => ({ ...each, type: 'password' })],
    ['a padded id', (each) => ({ ...each, id: `${each.id}=`, rawId: `${each.id}=` })],
    ['a number as id', (each) => ({ ...each, id: 7, rawId: 7 })],
    ['client data that is no JSON', (each) => withResponse(each, { clientDataJSON: 'AAAA' })],
    ['client data that is null', (each) => withResponse(each, { clientDataJSON: 'bnVsbA' })],
    ['client data of another alphabet', (each) => withResponse(each, { clientDataJSON: '+/==' })],
    ['a megabyte of data', (each) => withResponse(each, { authenticatorData: 'A'.repeat(1_000_000) })],
    ['short data', (each) => withResponse(each, { authenticatorData: 'AAAA' })],
    ['no signature', (each) => withResponse(each, { signature: '' })],
  ])('a sign-in with %s is refused', async (_, change) => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    const { requestOptions } = await clients.mfa.startPasskeySignIn({});
    const credential = change(device.get(requestOptions!)) as JsonObject;
    const began = performance.now();
    const refusal = await refusalOf(clients.mfa.finishPasskeySignIn({ credential }));
    expect(performance.now() - began).toBeLessThan(500);
    expect(['PASSKEY_VERIFICATION_FAILED', 'MFA_CHALLENGE_EXPIRED', 'REQUEST_TOO_LARGE']).toContain(refusal.reason);
  });
});

function withResponse(credential: JsonObject, changed: JsonObject): JsonObject {
  return { ...credential, response: { ...(credential.response as JsonObject), ...changed } };
}

async function sessionsOf({ database }: TestService): Promise<number> {
  return (await database.query('select id from sessions')).length;
}
