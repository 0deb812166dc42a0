// @serializable
import { createHash } from 'node:crypto';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet } from 'jose';
import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { type ExpectedStepUp, onceInThisProcess, StepUpFault, verifyStepUp } from '../../src/sdk/verify.ts';
import { codeOf, enrollApp, useApp, verifyCode } from '../support/authenticator.ts';
import { mailsTo } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { bearer, type Clients, start, type Wire, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const payload = JSON.stringify({ to: 'bob', amount: '100.00', currency: 'EUR' });
const payment = {
  action: 'transfer.create',
  description: 'Send 100.00 EUR to Bob',
  payloadHash: createHash('sha256').update(payload).digest(),
  audience: 'payments',
};

type As = { readonly headers: Record<string, string> };

/** Ada with a TOTP factor, and what the backend of payments expects of her proofs. */
async function withFactor(wire: Wire = 'json', options: Parameters<typeof start>[0] = {}) {
  const service = await start(options);
  const clients = service.clients(wire);
  const { as, user, session } = await service.welcome(verifiedAda);
  const { factorId, secret } = await useApp(clients, as, service.now());
  const port = service.replicas[0]!.httpPort;
  const jwks = (await (await fetch(`http://127.0.0.1:${port}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
  const expected: ExpectedStepUp = {
    keys: createLocalJWKSet(jwks),
    issuer: 'http://gatehouse.test/auth/v1',
    audience: 'payments',
    action: 'transfer.create',
    payload,
    userId: user.id,
    sessionId: session.id,
    acceptOnce: onceInThisProcess(),
    now: service.now(),
  };
  /** The code of the next time step. */
  const nextCode = () => {
    service.pass(30);
    return codeOf(secret, service.now());
  };
  return { service, clients, as, user, session, factorId, expected, nextCode };
}

async function prove({ mfa }: Clients, as: As, factorId: string, code: string): Promise<string> {
  const { challengeId } = await mfa.beginStepUp({ factorId, ...payment }, as);
  return (await mfa.finishStepUp({ challengeId, proof: { case: 'code', value: code } }, as)).stepUpProof;
}

async function faultOf(proof: string, expected: ExpectedStepUp) {
  const thrown = await verifyStepUp(proof, expected).catch((error: unknown) => error);
  return thrown instanceof StepUpFault ? thrown.reason : thrown;
}

describe.each(wires)('over %s', (wire) => {
  test('a proof names the action, and a backend verifies it offline, once', async () => {
    const { clients, as, user, session, factorId, expected, nextCode } = await withFactor(wire);
    const begun = await clients.mfa.beginStepUp({ factorId, ...payment }, as);
    expect(begun).toMatchObject({ type: FactorType.TOTP, description: payment.description });
    const finish = { challengeId: begun.challengeId, proof: { case: 'code' as const, value: nextCode() } };
    const { stepUpProof } = await clients.mfa.finishStepUp(finish, as);
    expect(decodeProtectedHeader(stepUpProof)).toMatchObject({ alg: 'ES256', typ: 'step-up+jwt' });
    const { exp, iat, acr } = decodeJwt(stepUpProof);
    expect(exp! - iat!).toBe(300);
    expect(acr).toBe('aal2');
    const accepted = await verifyStepUp(stepUpProof, expected);
    expect(accepted).toMatchObject({ userId: user.id, sessionId: session.id, description: payment.description });
    expect(await faultOf(stepUpProof, expected)).toBe('USED');
  });

  test('a proof is refused for anything else than what was confirmed, and stays usable for that', async () => {
    const { clients, as, factorId, expected, nextCode } = await withFactor(wire);
    const proof = await prove(clients, as, factorId, nextCode());
    expect(await faultOf(proof, { ...expected, action: 'transfer.cancel' })).toBe('OTHER_ACTION');
    expect(await faultOf(proof, { ...expected, payload: payload.replace('100', '900') })).toBe('OTHER_PAYLOAD');
    expect(await faultOf(proof, { ...expected, userId: factorId })).toBe('OTHER_USER');
    expect(await faultOf(proof, { ...expected, sessionId: factorId })).toBe('OTHER_USER');
    expect(await faultOf(proof, { ...expected, audience: 'reports' })).toBe('INVALID');
    expect(await faultOf(proof, { ...expected, issuer: 'http://other.test/auth/v1' })).toBe('INVALID');
    const late = new Date(expected.now!.getTime() + 400_000);
    expect(await faultOf(proof, { ...expected, now: late })).toBe('EXPIRED');
    expect(await faultOf(`${proof.slice(0, -4)}AAAA`, expected)).toBe('INVALID');
    await verifyStepUp(proof, expected);
  });

  test('a proof is no access token, and an access token is no proof', async () => {
    const { clients, as, factorId, expected, nextCode } = await withFactor(wire);
    const proof = await prove(clients, as, factorId, nextCode());
    expect((await refusalOf(clients.auth.getMe({}, bearer({ accessToken: proof })))).reason).toBe('TOKEN_INVALID');
    expect((await clients.sessions.introspect({ token: proof }, asService)).active).toBe(false);
    const token = as.headers.authorization.replace('Bearer ', '');
    expect(await faultOf(token, { ...expected, audience: 'authenticated' })).toBe('INVALID');
    const asTokens = clients.mfa.beginStepUp({ factorId, ...payment, audience: 'authenticated' }, as);
    expect(await refusalOf(asTokens)).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: ['audience'] });
  });

  test('a challenge serves the session that began it, and what it was begun for', async () => {
    const { clients, as, factorId, nextCode } = await withFactor(wire);
    const { challengeId } = await clients.mfa.beginStepUp({ factorId, ...payment }, as);
    const proof = { case: 'code' as const, value: nextCode() };
    const other = bearer((await clients.auth.signIn(ada)).tokens!);
    expect((await refusalOf(clients.mfa.finishStepUp({ challengeId, proof }, other))).reason).toBe(
      'MFA_CHALLENGE_EXPIRED',
    );
    const verify = clients.mfa.verifyFactor({ factorId, challengeId, proof }, as);
    expect((await refusalOf(verify)).reason).toBe('MFA_CHALLENGE_EXPIRED');
    const { challengeId: toVerify } = await clients.mfa.challengeFactor({ factorId }, as);
    const finish = clients.mfa.finishStepUp({ challengeId: toVerify, proof }, as);
    expect((await refusalOf(finish)).reason).toBe('MFA_CHALLENGE_EXPIRED');
    await clients.mfa.finishStepUp({ challengeId, proof }, as);
    const again = clients.mfa.finishStepUp({ challengeId, proof: { ...proof, value: nextCode() } }, as);
    expect((await refusalOf(again)).reason).toBe('MFA_CHALLENGE_EXPIRED');
  });

  test('a challenge expires after five minutes, and admits five codes', async () => {
    const { service, clients, as, factorId, nextCode } = await withFactor(wire);
    const { challengeId } = await clients.mfa.beginStepUp({ factorId, ...payment }, as);
    service.pass(300);
    const late = clients.mfa.finishStepUp({ challengeId, proof: { case: 'code', value: nextCode() } }, as);
    expect((await refusalOf(late)).reason).toBe('MFA_CHALLENGE_EXPIRED');
    const next = await clients.mfa.beginStepUp({ factorId, ...payment }, as);
    const wrong = { challengeId: next.challengeId, proof: { case: 'code' as const, value: 'wrong' } };
    for (let i = 0; i < 5; i++)
      expect((await refusalOf(clients.mfa.finishStepUp(wrong, as))).reason).toBe('MFA_VERIFICATION_FAILED');
    const sixth = clients.mfa.finishStepUp({ ...wrong, proof: { case: 'code', value: nextCode() } }, as);
    expect((await refusalOf(sixth)).reason).toBe('MFA_CHALLENGE_EXPIRED');
  });

  test('a recovery code confirms an action once, and its owner is notified', async () => {
    const { service, clients, as, factorId, nextCode } = await withFactor(wire);
    const raised = bearer((await verifyCode(clients, as, factorId, nextCode())).tokens!);
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, raised);
    await prove(clients, raised, factor!.id, codes[0]!);
    expect((await refusalOf(prove(clients, raised, factor!.id, codes[0]!))).reason).toBe('MFA_VERIFICATION_FAILED');
    const subjects = (await mailsTo(service, ada.email)).map(({ subject }) => subject);
    expect(subjects.filter((each) => each === 'A recovery code was used')).toHaveLength(1);
  });

  test('the challenge of a factor that was removed since has expired', async () => {
    const { clients, as, factorId, nextCode } = await withFactor(wire);
    const raised = bearer((await verifyCode(clients, as, factorId, nextCode())).tokens!);
    const { challengeId } = await clients.mfa.beginStepUp({ factorId, ...payment }, raised);
    await clients.mfa.unenrollFactor({ factorId }, raised);
    const finish = clients.mfa.finishStepUp({ challengeId, proof: { case: 'code', value: nextCode() } }, raised);
    expect((await refusalOf(finish)).reason).toBe('MFA_CHALLENGE_EXPIRED');
  });

  test('a factor that was never verified proves nothing', async () => {
    const { clients, factorId, as, nextCode } = await withFactor(wire);
    const raised = bearer((await verifyCode(clients, as, factorId, nextCode())).tokens!);
    const tablet = await enrollApp(clients, raised, 'tablet');
    const begun = clients.mfa.beginStepUp({ factorId: tablet.factorId, ...payment }, raised);
    expect((await refusalOf(begun)).reason).toBe('FACTOR_NOT_FOUND');
  });

  test('of parallel finishes of one challenge over two replicas one gets a proof', async () => {
    const barrier = new Barrier('FinishStepUp');
    const options = { replicas: 2, inner: [barrier.interceptor()] };
    const { service, clients, as, factorId, nextCode } = await withFactor(wire, options);
    const { challengeId } = await clients.mfa.beginStepUp({ factorId, ...payment }, as);
    const proof = { case: 'code' as const, value: nextCode() };
    // A challenge admits five codes, so no more than five calls reach the barrier.
    barrier.expect(5);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).mfa.finishStepUp({ challengeId, proof }, as),
    );
    expect(answers).toHaveLength(1);
    expect(errors).toHaveLength(crowd - 1);
    for (const error of errors) expect(['MFA_CHALLENGE_EXPIRED', 'MFA_VERIFICATION_FAILED']).toContain(reasonOf(error));
  });
});
