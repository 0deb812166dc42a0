import { createHash } from 'node:crypto';
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { onceInThisProcess, publishedKeys, StepUpFault, verifyStepUp } from '../../src/sdk/verify.ts';

// Used proofs are forgotten by the clock of the process, once they have expired.
const noon = new Date(Math.floor(Date.now() / 1000) * 1000);
const seconds = noon.getTime() / 1000;
const { privateKey, publicKey } = await generateKeyPair('ES256');
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] });

const claims = {
  iss: 'https://id.example.org/auth/v1',
  aud: 'payments',
  sub: 'ada',
  iat: seconds,
  exp: seconds + 300,
  jti: 'one',
  session_id: 'session',
  action: 'transfer.create',
  description: 'Send 1 EUR',
  payload_hash: createHash('sha256').update('payload').digest('base64url'),
};

function expected() {
  const about = {
    issuer: claims.iss,
    audience: 'payments',
    action: 'transfer.create',
    payload: 'payload',
    userId: 'ada',
  };
  return { ...about, keys, acceptOnce: onceInThisProcess(), now: noon };
}

const signed = (changes: object = {}, typ = 'step-up+jwt') =>
  new SignJWT({ ...claims, ...changes }).setProtectedHeader({ alg: 'ES256', typ, kid: 'k' }).sign(privateKey);

const reasonOf = (proof: string, changes: object = {}) =>
  verifyStepUp(proof, { ...expected(), ...changes }).then(
    () => 'accepted',
    (thrown) => (thrown instanceof StepUpFault ? thrown.reason : thrown),
  );

describe('a step-up proof', () => {
  test('is accepted as it is signed', async () => {
    expect(await reasonOf(await signed())).toBe('accepted');
  });

  test('of another type is refused, whatever its claims', async () => {
    for (const typ of ['JWT', 'at+jwt', '']) expect(await reasonOf(await signed({}, typ)), typ).toBe('INVALID');
  });

  test.each(['sub', 'jti', 'exp', 'iat', 'action', 'payload_hash'])('without %s is refused', async (name) => {
    expect(await reasonOf(await signed({ [name]: undefined }))).toBe('INVALID');
  });

  test('is compared with the payload itself, in bytes', async () => {
    expect(await reasonOf(await signed(), { payload: Buffer.from('payload') })).toBe('accepted');
    expect(await reasonOf(await signed(), { payload: 'payload ' })).toBe('OTHER_PAYLOAD');
    expect(await reasonOf(await signed({ payload_hash: '' }))).toBe('OTHER_PAYLOAD');
    expect(await reasonOf(await signed({ payload_hash: 7 }))).toBe('OTHER_PAYLOAD');
  });

  test('expires, with half a minute for clocks that differ', async () => {
    const at = (after: number) => ({ now: new Date(noon.getTime() + after * 1000) });
    expect(await reasonOf(await signed(), at(329))).toBe('accepted');
    expect(await reasonOf(await signed(), at(331))).toBe('EXPIRED');
  });

  test('is used up only when it is accepted, also by parallel calls', async () => {
    const proof = await signed();
    const same = expected();
    expect(await reasonOf(proof, { ...same, action: 'other' })).toBe('OTHER_ACTION');
    const all = await Promise.all(Array.from({ length: 20 }, () => reasonOf(proof, same)));
    expect(all.filter((each) => each === 'accepted')).toHaveLength(1);
    expect(all.filter((each) => each === 'USED')).toHaveLength(19);
  });

  test('is neither good nor bad while the keys cannot be fetched', async () => {
    const thrown = await reasonOf(await signed(), { keys: publishedKeys('http://127.0.0.1:9') });
    expect(thrown).toBeInstanceOf(Error);
    expect(thrown).not.toBeInstanceOf(StepUpFault);
  });
});
