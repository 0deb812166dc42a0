import {
  create,
  type DescField,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  ScalarType,
} from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { Access, AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { type Reason, Refusal } from '../../src/errors.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { methods, nameOf } from '../support/contract.ts';
import { type Credential, credentialsOf } from '../support/credentials.ts';
import { allMailsSent } from '../support/inbox.ts';
import { bob } from '../support/people.ts';
import { reasonOf } from '../support/refusal.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

test('these methods are public, and no others', () => {
  const open = methods.filter((each) => policyOf(each)!.access === Access.PUBLIC);
  expect(open.map(nameOf).sort()).toEqual([
    'AccountService.ApplyBillingEvent',
    'AuthService.ConfirmEmailChange',
    'AuthService.ExchangeCode',
    'AuthService.FinishOAuth',
    'AuthService.GetEmailVerificationStatus',
    'AuthService.GetSettings',
    'AuthService.Register',
    'AuthService.RejectRegistration',
    'AuthService.RequestMagicLink',
    'AuthService.RequestPasswordReset',
    'AuthService.ResendEmailChange',
    'AuthService.ResetPassword',
    'AuthService.SendVerificationEmail',
    'AuthService.SignIn',
    'AuthService.SignInWithIdToken',
    'AuthService.SignInWithMagicLink',
    'AuthService.SignInWithResetToken',
    'AuthService.SignUpAnonymous',
    'AuthService.StartOAuth',
    'AuthService.VerifyEmail',
    'AuthService.VerifyOtp',
    'AuthService.VerifyResetToken',
    'DeviceService.CancelLogin',
    'DeviceService.CheckCliLogin',
    'DeviceService.ClaimCliGuest',
    'DeviceService.PollCliLogin',
    'DeviceService.PollDeviceToken',
    'DeviceService.PollFingerprintLogin',
    'DeviceService.RedeemDashboardCode',
    'DeviceService.RequestDeviceCode',
    'DeviceService.SignOutFingerprint',
    'DeviceService.StartCliLogin',
    'DeviceService.StartFingerprintLogin',
    'MfaService.FinishPasskeySignIn',
    'MfaService.StartPasskeySignIn',
    'SessionService.Refresh',
    'SessionService.SignOut',
  ]);
});

test('these methods can be called with GET, and their requests have no secret fields', () => {
  const safe = methods.filter((each) => each.idempotency === Idempotency.NO_SIDE_EFFECTS);
  expect(safe.map(nameOf).sort()).toEqual([
    'AccountService.GetAccount',
    'AccountService.ListAccountInvites',
    'AccountService.ListAccounts',
    'AccountService.ListMembers',
    'AdminService.GetAccount',
    'AdminService.GetProject',
    'AdminService.GetSettings',
    'AdminService.GetUser',
    'AdminService.ListAccounts',
    'AdminService.ListInviteCodes',
    'AdminService.ListOAuthClients',
    'AdminService.ListProjects',
    'AdminService.ListSigningKeys',
    'AdminService.ListUserFactors',
    'AdminService.ListUserSessions',
    'AuthService.GetEmailVerificationStatus',
    'AuthService.GetMe',
    'AuthService.GetSettings',
    'AuthService.ListIdentities',
    'DeviceService.ListApiKeys',
    'DeviceService.ListDevices',
    'MfaService.GetAssurance',
    'MfaService.ListFactors',
    'MfaService.ListPasskeys',
    'MfaService.ListTrustedDevices',
    'SessionService.GetSession',
    'SessionService.ListSessions',
  ]);
  const secret = /token|code|e_?mail|password|secret|phone|key/;
  const fields = safe.flatMap((each) => fieldsOf(each.input).map((field) => `${nameOf(each)} ${field.name}`));
  expect(fields.filter((each) => secret.test(each))).toEqual([
    'AccountService.ListAccounts page_token',
    'AccountService.ListMembers page_token',
    'AccountService.ListAccountInvites page_token',
    'AdminService.ListUserSessions page_token',
    'AdminService.ListAccounts page_token',
    'AdminService.ListInviteCodes page_token',
    'AdminService.ListProjects page_token',
    'DeviceService.ListDevices page_token',
    'DeviceService.ListApiKeys page_token',
    'SessionService.ListSessions page_token',
  ]);
});

test('a user who must change their password may call these methods with an access token, and no others', () => {
  const admitted = methods.filter((each) => policyOf(each)!.admitsPasswordChangeRequired);
  expect(admitted.map(nameOf).sort()).toEqual([
    'AuthService.ChangePassword',
    'AuthService.GetMe',
    'MfaService.ChallengeFactor',
    'MfaService.EnrollFactor',
    'MfaService.GetAssurance',
    'MfaService.ListFactors',
    'MfaService.VerifyFactor',
    'SessionService.SignOut',
  ]);
});

test('an API key may call these methods, and no others', () => {
  const admitting = methods.filter((each) => policyOf(each)!.admitsApiKeys);
  expect(admitting.map(nameOf).sort()).toEqual([
    'AccountService.ConsumeUsage',
    'AccountService.GetAccount',
    'AccountService.GetUsage',
    'AuthService.GetMe',
  ]);
});

test('no policy has an option without effect, and each public method has a limit per address', () => {
  const odd = methods.filter((each) => {
    const rules = policyOf(each)!;
    const { access, admitsGuests, admitsPasswordChangeRequired, admitsServices, optionalBearer, minAssurance } = rules;
    const forUsers = admitsGuests || admitsServices || rules.admitsApiKeys || minAssurance;
    if (access !== Access.USER && forUsers) return true;
    if (access !== Access.USER && !optionalBearer && admitsPasswordChangeRequired) return true;
    return access !== Access.PUBLIC && optionalBearer;
  });
  expect(odd.map(nameOf)).toEqual([]);
  const unlimited = methods.filter(
    (each) => policyOf(each)!.access === Access.PUBLIC && policyOf(each)!.perMinute === 0,
  );
  expect(unlimited.map(nameOf), 'public methods without a limit').toEqual([]);
  const guessed = methods.filter((each) => policyOf(each)!.failureLimits);
  expect(guessed.map(nameOf), 'methods that check passwords or codes').toEqual([
    'AuthService.SignIn',
    'AuthService.SignInWithMagicLink',
    'MfaService.VerifyFactor',
  ]);
});

describe.each(wires)('over %s', (wire) => {
  test('each method admits exactly the callers of its policy', async () => {
    const service = await start({ skipChecks: ['orphans'] });
    const credentials = await credentialsOf(service);
    await allMailsSent(service);
    const before = await service.database.checksums();
    const deviations: object[] = [];
    for (const method of methods)
      for (const credential of credentials) {
        const expected = refusalFor(method, credential);
        if (!expected && cannotBeSpoilt.has(nameOf(method))) continue;
        const seen = await outcome(service, wire, method, spoilt(method), credential);
        if (!agrees(seen, expected))
          deviations.push({ method: nameOf(method), credential: credential.name, expected, ...seen });
      }
    expect(deviations).toEqual([]);
    const after = await service.database.checksums();
    // The first GetReferral creates a referral code, and its request has no field that could be wrong.
    // And a call with an API key stamps the key.
    const expected = { ...before, api_keys: after.api_keys };
    expect({ ...after, referral_codes: '' }, 'nothing has changed').toEqual(expected);
    const [kept] = await service.database.query(
      'select count(*)::int, count(revoked_at)::int as revoked from api_keys',
    );
    expect(kept).toEqual({ count: 2, revoked: 1 });
  }, 60_000);

  test('a method with an optional access token refuses a bad one', async () => {
    const service = await start({ skipChecks: ['orphans'] });
    const token = `ghot_${'A'.repeat(56)}`;
    const requests: Record<string, object> = {
      'AuthService.Register': bob,
      'AuthService.SendVerificationEmail': {},
      'AuthService.VerifyEmail': { token },
      'AuthService.ConfirmEmailChange': { token },
      'SessionService.SignOut': {},
    };
    const optional = methods.filter((each) => policyOf(each)!.optionalBearer);
    expect(Object.keys(requests)).toEqual(optional.map(nameOf));
    const wrong = (await credentialsOf(service)).filter((each) => each.header && (each.fault || each.isService));
    await allMailsSent(service);
    const before = await service.database.checksums();
    const deviations: object[] = [];
    for (const method of optional)
      for (const credential of wrong) {
        const expected = credential.fault ?? 'CALLER_NOT_ALLOWED';
        const seen = await outcome(service, wire, method, requests[nameOf(method)]!, credential);
        if (seen.reason !== expected)
          deviations.push({ method: nameOf(method), credential: credential.name, expected, ...seen });
      }
    expect(deviations).toEqual([]);
    expect(await service.database.checksums(), 'nothing has changed').toEqual(before);
  });
});

// They act for every caller that is admitted.
const cannotBeSpoilt = new Set([
  'AuthService.DeleteMe',
  'AuthService.Reauthenticate',
  'DeviceService.CreateDashboardCode',
]);

/** The refusal of a caller with this credential. Undefined when the policy admits it. */
function refusalFor(method: DescMethodUnary, who: Credential): Reason | undefined {
  const rules = policyOf(method)!;
  const isBearerRead = rules.access !== Access.PUBLIC || rules.optionalBearer;
  const reads = method.idempotency === Idempotency.NO_SIDE_EFFECTS;
  if (who.isImpersonated && isBearerRead && !reads && !rules.admitsImpersonation) return 'IMPERSONATION_NOT_ALLOWED';
  if (who.isApiKey && isBearerRead && !rules.admitsApiKeys) return 'CALLER_NOT_ALLOWED';
  const isHeldBack = who.mustChangePassword && !rules.admitsPasswordChangeRequired;
  if (rules.access === Access.PUBLIC)
    return rules.optionalBearer && !who.fault && isHeldBack ? 'PASSWORD_CHANGE_REQUIRED' : undefined;
  if (who.fault) return who.fault;
  if (who.isService && rules.admitsServices) return undefined;
  if (rules.access === Access.ADMIN && !who.isService && !who.isOperator) return 'CALLER_NOT_ALLOWED';
  if (rules.access === Access.ADMIN) return who.hasUnusedFactor ? 'INSUFFICIENT_AAL' : undefined;
  if ((rules.access === Access.SERVICE) !== (who.isService ?? false)) return 'CALLER_NOT_ALLOWED';
  if (rules.access === Access.SERVICE) return undefined;
  if (who.isGuest && !rules.admitsGuests) return 'GUEST_NOT_ALLOWED';
  if (isHeldBack) return 'PASSWORD_CHANGE_REQUIRED';
  if (rules.minAssurance === AssuranceLevel.AAL2 && !who.hasTwoFactors) return 'INSUFFICIENT_AAL';
  if (rules.aal2IfEnrolled && who.hasUnusedFactor) return 'INSUFFICIENT_AAL';
  return rules.maxAuthenticationAge && who.isStale ? 'REAUTHENTICATION_REQUIRED' : undefined;
}

interface Outcome {
  readonly code: string;
  readonly reason: string | undefined;
}

const ownRefusals: readonly (string | undefined)[] = [
  'INVALID_ARGUMENT',
  'KEY_TOO_YOUNG',
  'NO_FACTOR_ENROLLED',
  'EMAIL_NOT_VERIFIED',
];

// Validation follows the policy: a request that it refuses shows that the policy admitted the caller, and has no effect.
function agrees({ code, reason }: Outcome, expected: Reason | undefined): boolean {
  // Or the method itself refuses it.
  if (!expected) return code === 'ok' || ownRefusals.includes(reason);
  return reason === expected && code === Code[new Refusal(expected).code];
}

async function outcome(
  service: TestService,
  wire: Wire,
  method: DescMethodUnary,
  request: object,
  { header }: Credential,
): Promise<Outcome> {
  const headers = new Headers(header === undefined ? {} : { authorization: header });
  const message = create(method.input, request as MessageInitShape<DescMessage>);
  try {
    await service.transport(wire).unary(method, undefined, undefined, headers, message);
    return { code: 'ok', reason: undefined };
  } catch (error) {
    return { code: Code[ConnectError.from(error).code]!, reason: reasonOf(error) };
  }
}

/** A request that the method refuses, where there is one: its first field that can be wrong is wrong. */
function spoilt({ input }: DescMethodUnary): Record<string, unknown> {
  const text = input.fields.find((each) => each.fieldKind === 'scalar' && each.scalar === ScalarType.STRING);
  if (text) return { [text.localName]: '\u0000' };
  const choice = input.fields.find((each) => each.fieldKind === 'enum');
  if (choice) return { [choice.localName]: 99 };
  const list = input.fields.find((each) => each.fieldKind === 'list');
  return list ? { [list.localName]: [list.listKind === 'enum' ? 99 : '\u0000'] } : {};
}

function fieldsOf(message: DescMessage, seen = new Set<DescMessage>()): DescField[] {
  if (seen.has(message)) return [];
  seen.add(message);
  return message.fields.flatMap((each) => [each, ...(each.message ? fieldsOf(each.message, seen) : [])]);
}
