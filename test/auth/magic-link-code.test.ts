// @serializable
import { createHash } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { dead, mailed, makeNonce, openToCodes, unknown } from '../support/codes.ts';
import { mailsTo } from '../support/inbox.ts';
import { ada } from '../support/people.ts';
import { Barrier, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('a code signs in once, where it was asked for, and takes the link of its mail along', async () => {
    const { service, ask, enter, type, auth } = await openToCodes(wire);
    const nonce = await ask();
    const { code, token } = await mailed(service);
    const { user, session, tokens } = await enter(code, nonce, { email: ' ADA@example.org ' });
    expect(user).toMatchObject({ email: ada.email });
    expect(session).toMatchObject({ aal: AssuranceLevel.AAL1, amr: [{ method: 'otp' }] });
    await auth.getMe({}, bearer(tokens!));
    expect(await refusalWithoutTrace(service.database, () => enter(code, nonce))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: dead,
      message: 'Token has expired or is invalid',
    });
    expect((await refusalOf(auth.signInWithMagicLink({ token }))).reason).toBe(dead);
    expect(await type(code, makeNonce())).toBe(dead);
  });

  test('the link of a mail with a code signs in, and takes the code along', async () => {
    const { service, ask, type, auth } = await openToCodes(wire);
    const nonce = await ask();
    const { code, token } = await mailed(service);
    expect((await auth.signInWithMagicLink({ token })).session!.amr).toMatchObject([{ method: 'magiclink' }]);
    expect(await type(code, nonce)).toBe(dead);
  });

  test('a code is good for its own address, its time, and until a newer one is sent', async () => {
    const { service, ask, type } = await openToCodes(wire);
    const nonce = await ask();
    const { code: old } = await mailed(service);
    expect(await type(old, nonce, { email: unknown })).toBe(dead);
    expect(await ask(nonce), 'again within the gap: there is no other mail').toBe(nonce);
    expect(await mailsTo(service, ada.email)).toHaveLength(1);
    service.pass(61);
    await ask(nonce);
    const { code } = await mailed(service);
    if (code !== old) expect(await type(old, nonce)).toBe(dead);
    expect(await type(code, nonce)).toBe('OK');
    service.pass(61);
    const later = await ask();
    const { code: late } = await mailed(service);
    service.pass(10 * 60 + 1);
    expect(await type(late, later)).toBe(dead);
  });

  test('whoever first proves a mailbox by a code leaves nothing to who registered it before', async () => {
    const { service, enter, auth } = await openToCodes(wire);
    const email = 'victim@example.org';
    await auth.register({ email, password: ada.password });
    const attacker = await service.signIn({ email, password: ada.password });
    const clientNonce = makeNonce();
    await auth.requestMagicLink({ email, clientNonce });
    await enter((await mailed(service, email)).code, clientNonce, { email });
    expect((await refusalOf(auth.getMe({}, attacker.as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(auth.signIn({ email, password: ada.password }))).reason).toBe('INVALID_CREDENTIALS');
  });

  test('nothing but six digits and a long enough nonce is a code', async () => {
    const { ask, type, auth } = await openToCodes(wire);
    const nonce = await ask();
    for (const code of ['', '12345', '1234567', '12345a', ' 12345', '１２３４５６', '-12345'])
      expect(await type(code, nonce), code).toBe('INVALID_ARGUMENT');
    for (const bad of ['', 'short', 'x'.repeat(65), `${'x'.repeat(22)}!`])
      expect(await type('123456', bad), bad).toBe('INVALID_ARGUMENT');
    expect(await reasonOf(await ask('short').catch((error) => error))).toBe('INVALID_ARGUMENT');
    const code = { email: ada.email, code: '123456', clientNonce: nonce };
    expect((await refusalOf(auth.signInWithMagicLink({ code, token: 'x' }))).reason).toBe('INVALID_ARGUMENT');
  });
});

test.each(wires)('over %s: of ten sign-ins with one code or its link one succeeds', async (wire) => {
  const barrier = new Barrier('SignInWithMagicLink');
  const { service, ask, enter, auth } = await openToCodes(wire, {
    env: { LIMITS: '*=off' },
    inner: [barrier.interceptor()],
  });
  const nonce = await ask();
  const { code, token } = await mailed(service);
  barrier.expect(10);
  const { answers, errors } = await together(
    (n) => (n % 2 ? auth.signInWithMagicLink({ token }) : enter(code, nonce, { replica: n })),
    10,
  );
  expect(answers).toHaveLength(1);
  for (const error of errors) expect((await refusalOf(Promise.reject(error))).reason).toBe(dead);
  expect(await service.database.query('select from sessions')).toHaveLength(1);
});

test('neither the code nor its plain hash is stored or logged', async () => {
  const { service, ask, type } = await openToCodes('json');
  const nonce = await ask();
  const { code } = await mailed(service);
  await type(code, nonce);
  const [row] = await service.database.query<{ hash: Buffer }>('select code_hash as hash from one_time_tokens');
  for (const plain of [code, `${code}${nonce}`, `${nonce}${code}`])
    for (const algorithm of ['md5', 'sha1', 'sha224', 'sha256'])
      expect(row!.hash.equals(createHash(algorithm).update(plain).digest())).toBe(false);
  const alone = new RegExp(`(?<![\\w.])${code}(?![\\w.])`);
  expect(await service.database.dump()).not.toMatch(alone);
  expect(service.ledger.lines.join('\n')).not.toMatch(alone);
});
