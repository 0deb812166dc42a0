// @serializable
import { createHash } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { mailed, makeNonce, refused, startForCodes, unknownEmail } from '../support/codes.ts';
import { mailsTo } from '../support/inbox.ts';
import { ada } from '../support/people.ts';
import { Barrier, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('a code signs in once, for the client that requested it, and uses up the link of its mail', async () => {
    const { service, requestCode, signIn, tryCode, auth } = await startForCodes(wire);
    const nonce = await requestCode();
    const { code, token } = await mailed(service);
    const { user, session, tokens } = await signIn(code, nonce, { email: ' ADA@example.org ' });
    expect(user).toMatchObject({ email: ada.email });
    expect(session).toMatchObject({ aal: AssuranceLevel.AAL1, amr: [{ method: 'otp' }] });
    await auth.getMe({}, bearer(tokens!));
    expect(await refusalWithoutTrace(service.database, () => signIn(code, nonce))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: refused,
      message: 'Token has expired or is invalid',
    });
    expect((await refusalOf(auth.signInWithMagicLink({ token }))).reason).toBe(refused);
    expect(await tryCode(code, makeNonce())).toBe(refused);
  });

  test('the link of a mail with a code signs in, and uses up the code', async () => {
    const { service, requestCode, tryCode, auth } = await startForCodes(wire);
    const nonce = await requestCode();
    const { code, token } = await mailed(service);
    expect((await auth.signInWithMagicLink({ token })).session!.amr).toMatchObject([{ method: 'magiclink' }]);
    expect(await tryCode(code, nonce)).toBe(refused);
  });

  test('a code works for its own address, until it expires or a newer one is sent', async () => {
    const { service, requestCode, tryCode } = await startForCodes(wire);
    const nonce = await requestCode();
    const { code: old } = await mailed(service);
    expect(await tryCode(old, nonce, { email: unknownEmail })).toBe(refused);
    expect(await requestCode(nonce), 'within the gap no other mail is sent').toBe(nonce);
    expect(await mailsTo(service, ada.email)).toHaveLength(1);
    service.pass(61);
    await requestCode(nonce);
    const { code } = await mailed(service);
    if (code !== old) expect(await tryCode(old, nonce)).toBe(refused);
    expect(await tryCode(code, nonce)).toBe('OK');
    service.pass(61);
    const later = await requestCode();
    const { code: late } = await mailed(service);
    service.pass(10 * 60 + 1);
    expect(await tryCode(late, later)).toBe(refused);
  });

  test('the first proof of a mailbox by a code revokes the sessions and the password of an earlier registration', async () => {
    const { service, signIn, auth } = await startForCodes(wire);
    const email = 'victim@example.org';
    await auth.register({ email, password: ada.password });
    const attacker = await service.signIn({ email, password: ada.password });
    const clientNonce = makeNonce();
    await auth.requestMagicLink({ email, clientNonce });
    await signIn((await mailed(service, email)).code, clientNonce, { email });
    expect((await refusalOf(auth.getMe({}, attacker.as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(auth.signIn({ email, password: ada.password }))).reason).toBe('INVALID_CREDENTIALS');
  });

  test('codes that are not six digits, and nonces that are too short or malformed, are refused as invalid', async () => {
    const { requestCode, tryCode, auth } = await startForCodes(wire);
    const nonce = await requestCode();
    for (const code of ['', '12345', '1234567', '12345a', ' 12345', '１２３４５６', '-12345'])
      expect(await tryCode(code, nonce), code).toBe('INVALID_ARGUMENT');
    for (const bad of ['', 'short', 'x'.repeat(65), `${'x'.repeat(22)}!`])
      expect(await tryCode('123456', bad), bad).toBe('INVALID_ARGUMENT');
    expect(await reasonOf(await requestCode('short').catch((error) => error))).toBe('INVALID_ARGUMENT');
    const code = { email: ada.email, code: '123456', clientNonce: nonce };
    expect((await refusalOf(auth.signInWithMagicLink({ code, token: 'x' }))).reason).toBe('INVALID_ARGUMENT');
  });
});

test.each(wires)('over %s: of ten sign-ins with one code or its link one succeeds', async (wire) => {
  const barrier = new Barrier('SignInWithMagicLink');
  const { service, requestCode, signIn, auth } = await startForCodes(wire, {
    env: { LIMITS: '*=off' },
    inner: [barrier.interceptor()],
  });
  const nonce = await requestCode();
  const { code, token } = await mailed(service);
  barrier.expect(10);
  const { answers, errors } = await together(
    (n) => (n % 2 ? auth.signInWithMagicLink({ token }) : signIn(code, nonce, { replica: n })),
    10,
  );
  expect(answers).toHaveLength(1);
  for (const error of errors) expect((await refusalOf(Promise.reject(error))).reason).toBe(refused);
  expect(await service.database.query('select from sessions')).toHaveLength(1);
});

test('neither the code nor a hash of it without a key is stored or logged', async () => {
  const { service, requestCode, tryCode } = await startForCodes('json');
  const nonce = await requestCode();
  const { code } = await mailed(service);
  await tryCode(code, nonce);
  const [row] = await service.database.query<{ hash: Buffer }>('select code_hash as hash from one_time_tokens');
  for (const plain of [code, `${code}${nonce}`, `${nonce}${code}`])
    for (const algorithm of ['md5', 'sha1', 'sha224', 'sha256'])
      expect(row!.hash.equals(createHash(algorithm).update(plain).digest())).toBe(false);
  const alone = new RegExp(`(?<![\\w.])${code}(?![\\w.])`);
  expect(await service.database.dump()).not.toMatch(alone);
  expect(service.ledger.lines.join('\n')).not.toMatch(alone);
});
