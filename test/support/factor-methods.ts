import { codeOf, useApp, verifyCode } from './authenticator.ts';
import { tokenFor } from './inbox.ts';
import type { Run } from './methods.ts';
import { asService } from './people.ts';
import { refusalOf } from './refusal.ts';
import { bearer, type TestService, type Wire } from './start.ts';

interface Owned {
  readonly factorId: string;
  readonly secret: string;
  readonly as: ReturnType<typeof bearer>;
}

const frank = { email: 'frank@example.org', password: 'frank has a long one' };

/** Runs every method of MfaService in an order in which each succeeds. */
export async function callFactorMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { auth, mfa } = service.clients(wire);
  const { as } = await service.welcome({ ...frank, emailVerified: true });
  const { factor, totp } = await step('EnrollFactor', () => mfa.enrollFactor({ type: 1 }, as));
  const factorId = factor!.id;
  const verify = async (code: string, caller = as) => {
    const { challengeId } = await mfa.challengeFactor({ factorId }, caller);
    return { factorId, challengeId, proof: { case: 'code', value: code } } as const;
  };
  await step('ChallengeFactor', () => mfa.challengeFactor({ factorId }, as));
  const first = await verify(codeOf(totp!.secret, service.now()));
  const { tokens } = await step('VerifyFactor (first)', () => mfa.verifyFactor(first, as));
  const raised = bearer(tokens!);
  service.pass(30);
  const second = await verify(codeOf(totp!.secret, service.now()), raised);
  await step('VerifyFactor', () => mfa.verifyFactor(second, raised));
  await step('ListFactors', () => mfa.listFactors({}, raised));
  await step('GetAssurance', () => mfa.getAssurance({}, raised));
  service.pass(30);
  const payment = { factorId, action: 'pay', description: 'Pay', payloadHash: new Uint8Array(32), audience: 'shop' };
  const begun = await step('BeginStepUp', () => mfa.beginStepUp(payment, raised));
  const typed = { case: 'code', value: codeOf(totp!.secret, service.now()) } as const;
  await step('FinishStepUp', () => mfa.finishStepUp({ challengeId: begun.challengeId, proof: typed }, raised));
  await callDeviceMethods(service, wire, step, { factorId, secret: totp!.secret, as: raised });
  const { codes, factor: ofCodes } = await step('GenerateRecoveryCodes', () => mfa.generateRecoveryCodes({}, raised));
  const again = bearer((await auth.signIn(frank)).tokens!);
  const { challengeId } = await mfa.challengeFactor({ factorId: ofCodes!.id }, again);
  const proof = { case: 'code', value: codes[0]! } as const;
  const recovery = { factorId: ofCodes!.id, challengeId, proof };
  const recovered = await step('VerifyFactor (recovery code)', () => mfa.verifyFactor(recovery, again));
  await refusalOf(verifyCode({ mfa }, bearer(recovered.tokens!), factorId, '12345'));
  // A challenge of another session.
  await refusalOf(mfa.verifyFactor(first, bearer(recovered.tokens!)));
  await step('UnenrollFactor', () => mfa.unenrollFactor({ factorId }, bearer(recovered.tokens!)));
  await callRecoveryMethods(service, wire, step);
}

/** A device that passes a factor and is trusted, a sign-in on it, and the end of the trust. */
async function callDeviceMethods(service: TestService, wire: Wire, step: Run, { factorId, secret, as }: Owned) {
  const { auth, mfa } = service.clients(wire);
  service.pass(30);
  const { challengeId } = await mfa.challengeFactor({ factorId }, as);
  const proof = { case: 'code', value: codeOf(secret, service.now()) } as const;
  const trusting = { factorId, challengeId, proof, trustDevice: true };
  const { trustedDeviceToken } = await step('VerifyFactor (trusted device)', () => mfa.verifyFactor(trusting, as));
  await step('SignIn (trusted device)', () => auth.signIn({ ...frank, trustedDeviceToken }));
  const { trustedDevices } = await step('ListTrustedDevices', () => mfa.listTrustedDevices({}, as));
  const trustedDeviceId = trustedDevices[0]!.id;
  await step('RevokeTrustedDevice', () => mfa.revokeTrustedDevice({ trustedDeviceId }, as));
}

/** What leads back into an account whose factor or password is lost. */
async function callRecoveryMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { auth, admin } = service.clients(wire);
  const greta = { email: 'greta@example.org', password: 'greta has a long one' };
  const { as, user } = await service.welcome({ ...greta, emailVerified: true });
  const used = await useApp(service.clients(wire), as, service.now());
  const userId = user.id;
  const { factors } = await step('ListUserFactors', () => admin.listUserFactors({ userId }, asService));
  const named = { userId, factorId: factors[0]!.id, friendlyName: 'old phone' };
  await step('RenameUserFactor', () => admin.renameUserFactor(named, asService));
  const readFactors = () => auth.getMe({ factors: true }, bearer(used.tokens!));
  await step('GetMe (factors)', readFactors);
  await step('GetMe (without account)', () => auth.getMe({ omitAccount: true }, bearer(used.tokens!)));
  await Promise.all(Array.from({ length: 8 }, readFactors));
  await step('RemoveUserFactors', () => admin.removeUserFactors({ userId: user.id }, asService));
  await auth.requestPasswordReset({ email: greta.email });
  const token = await tokenFor(service, greta.email);
  const { tokens } = await step('SignInWithResetToken', () => auth.signInWithResetToken({ token }));
  const change = { newPassword: 'greta has another one' };
  await step('ChangePassword (recovery)', () => auth.changePassword(change, bearer(tokens!)));
}

/** The statements that each of these steps costs at most. */
export const factorCosts: Readonly<Record<string, number>> = {
  EnrollFactor: 7,
  ChallengeFactor: 6,
  'VerifyFactor (first)': 17,
  VerifyFactor: 13,
  'VerifyFactor (recovery code)': 17,
  UnenrollFactor: 11,
  ListFactors: 1,
  GetAssurance: 1,
  GenerateRecoveryCodes: 9,
  BeginStepUp: 6,
  'VerifyFactor (trusted device)': 16,
  'SignIn (trusted device)': 6,
  ListTrustedDevices: 1,
  RevokeTrustedDevice: 6,
  FinishStepUp: 12,
  ListUserFactors: 2,
  RenameUserFactor: 6,
  'GetMe (factors)': 1,
  'GetMe (without account)': 1,
  RemoveUserFactors: 10,
  SignInWithResetToken: 11,
  'ChangePassword (recovery)': 15,
};
