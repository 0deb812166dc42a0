import {
  create,
  type DescMethodUnary,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { Transport } from '@connectrpc/connect';
import { compressionGzip, createConnectTransport } from '@connectrpc/connect-node';
import { compressionAlgorithms } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { accountRefusals } from '../support/account-samples.ts';
import { methods, nameOf } from '../support/contract.ts';
import { deviceRefusals } from '../support/device-samples.ts';
import { factorRefusals } from '../support/factor-samples.ts';
import { grantRefusals } from '../support/grant-samples.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { oauthRefusals } from '../support/oauth-samples.ts';
import { passkeyRefusals } from '../support/passkey-samples.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { prepareSamples } from '../support/samples.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

test('every method returns the same fields over gRPC and over JSON', async () => {
  const service = await start({ env: await providerEnv() });
  const sampleOf = await prepareSamples(service);
  for (const method of methods) {
    const answers: JsonValue[] = [];
    for (const wire of wires) {
      const { request, headers } = await sampleOf(nameOf(method));
      const { message } = await call(service, wire, method, fromJson(method.input, request), headers);
      answers.push(anonymous(toJson(method.output, message)));
    }
    expect(answers[1], nameOf(method)).toEqual(answers[0]);
  }
});

test('every refusal has the same code, reason, message and details over gRPC and over JSON, compressed or not', async () => {
  const service = await start({ env: await providerEnv() });
  const transports = transportsOf(service);
  const { as, session } = await service.welcome({ ...ada, emailVerified: true });
  const lost = `ghot_${'A'.repeat(56)}`;
  const long = 'x'.repeat(2000);
  const { tokens, user, as: asBob } = await service.welcome(bob);
  const nobody = '018f3c2e-0000-7000-8000-000000000001';
  const refused: Record<string, [request: object, headers?: Record<string, string>][]> = {
    'AuthService.Register': [
      [ada],
      [{ ...bob, email: 'new@example.org', password: 'password1' }],
      [{ email: 'no address' }],
      [{}, as.headers],
      // Large enough for its JSON to be compressed.
      [{ email: 'no', password: long, name: long, accountInviteCode: long, inviteCode: long }],
    ],
    'AuthService.SignIn': [
      [{ ...ada, password: 'wrong' }],
      [{ email: 'nobody@example.org', password: 'wrong' }],
      [{ kind: 5 }],
    ],
    'AuthService.SignUpAnonymous': [[{ kind: 7 }]],
    'AuthService.GetMe': [[{}], [{}, asService.headers], [{}, { authorization: 'Bearer a.b.c' }]],
    'AuthService.UpdateMe': [
      [{ name: 'Eve' }],
      [{ email: 'eve@example.org' }, as.headers],
      [{ email: 'eve@example.org', currentPassword: 'wrong' }, as.headers],
      [{ email: bob.email, currentPassword: ada.password }, as.headers],
      [{ timezone: 'Nowhere/Land' }, as.headers],
      [{ locale: 'no language' }, as.headers],
    ],
    'AuthService.DeleteMe': [[{}], [{}, asService.headers]],
    'AuthService.ChangePassword': [
      [{ currentPassword: 'wrong', newPassword: 'a long enough phrase' }, as.headers],
      [{ currentPassword: ada.password, newPassword: ada.password }, as.headers],
      [{ currentPassword: ada.password, newPassword: 'password1' }, as.headers],
      [{}, as.headers],
    ],
    'AuthService.RequestPasswordReset': [[{ email: 'no address' }]],
    'AuthService.VerifyResetToken': [[{ token: '\u0000' }]],
    'AuthService.ResetPassword': [[{}], [{ token: 'x' }], [{ token: lost, newPassword: 'a long enough phrase' }]],
    'AuthService.SignInWithResetToken': [[{}], [{ token: lost }], [{ token: 'x', kind: 5 }]],
    'AuthService.GetEmailVerificationStatus': [],
    'AuthService.SendVerificationEmail': [[{}], [{ email: 'no address' }]],
    'AuthService.VerifyEmail': [[{}], [{ token: 'x' }], [{ token: lost }]],
    'AuthService.RejectRegistration': [[{}], [{ token: lost }]],
    'AuthService.ConfirmEmailChange': [[{}], [{ token: lost }]],
    'AuthService.RequestMagicLink': [[{ email: 'no address' }]],
    'AuthService.SignInWithMagicLink': [[{}], [{ token: lost }], [{ token: 'x', kind: 5 }]],
    ...oauthRefusals({ ...as.headers }, { ...asBob.headers }),
    'AuthService.GetSettings': [],
    'AuthService.VerifyOtp': [[{ type: 1 }], [{ type: 1, token: lost }], [{ token: lost }]],
    'AuthService.ExchangeCode': [[{}], [{ exchangeCode: lost, codeVerifier: 'v'.repeat(43) }]],
    'AuthService.UpdateCredentials': [
      [{}],
      [{ newPassword: ada.password }, as.headers],
      [{ newPassword: 'password1' }, as.headers],
      [{ email: 'eve@example.org' }, as.headers],
      [{ email: bob.email, link: {} }, as.headers],
    ],
    'AuthService.ResendEmailChange': [[{ email: 'eve@example.org' }]],
    'AuthService.Reauthenticate': [[{}]],
    'SessionService.Refresh': [[{ refreshToken: 'nonsense' }], [{ refreshToken: tokens.accessToken }], [{}]],
    'SessionService.SignOut': [[{}], [{ refreshToken: 'x', scope: 2 }], [{ scope: 9 }]],
    'SessionService.ListSessions': [[{}], [{ pageSize: -1 }, as.headers], [{ pageToken: 'x' }, as.headers]],
    'SessionService.GetSession': [
      [{ sessionId: nobody }, as.headers],
      [{ sessionId: 'x' }, as.headers],
    ],
    'SessionService.RevokeSession': [
      [{ sessionId: session.id }, as.headers],
      [{ sessionId: nobody }, as.headers],
    ],
    'SessionService.Introspect': [
      [{ token: 'x' }],
      [{ token: 'x' }, as.headers],
      [{ token: 'x', maxStaleness: { seconds: 6n } }, asService.headers],
    ],
    'DeviceService.CreateApiKey': [
      [{ name: 'a key' }],
      [{ name: 'a key' }, asBob.headers],
      [{ name: '' }, as.headers],
      [{ name: 'a key', scopes: ['SessionService'], expireTime: timestampFromDate(new Date(0)) }, as.headers],
    ],
    'DeviceService.ListApiKeys': [[{}], [{ pageToken: 'x' }, as.headers]],
    'DeviceService.RevokeApiKey': [
      [{ apiKeyId: nobody }, as.headers],
      [{ apiKeyId: nobody }, { authorization: `Bearer ghk_test_${'0'.repeat(71)}` }],
    ],
    'AdminService.CreateUser': [[ada, asService.headers], [ada], [{}, asService.headers]],
    'AdminService.GetUser': [
      [{ userId: nobody }, asService.headers],
      [{ userId: nobody }, as.headers],
    ],
    'AdminService.BanUser': [
      [{ userId: nobody }, asService.headers],
      [{ userId: nobody, duration: { nanos: 1 } }, asService.headers],
    ],
    'AdminService.UnbanUser': [[{ userId: nobody }, asService.headers]],
    'AdminService.ListUsers': [
      [{ pageSize: -1 }, asService.headers],
      [{ pageToken: 'x' }, asService.headers],
    ],
    'AdminService.UpdateUser': [
      [{ userId: nobody }, asService.headers],
      [{ userId: user.id, email: ada.email }, asService.headers],
      [{ userId: user.id, role: 99 }, asService.headers],
      [{ userId: user.id, appMetadata: { constructor: 1 } }, asService.headers],
    ],
    'AdminService.RevokeUserSessions': [
      [{ whose: { case: 'userId', value: nobody } }, asService.headers],
      [{}, asService.headers],
    ],
    'AdminService.ListUserSessions': [
      [{ userId: nobody }, asService.headers],
      [{ userId: user.id }, as.headers],
    ],
    'AdminService.RevokeUserSession': [[{ userId: user.id, sessionId: nobody }, asService.headers]],
    'AdminService.ListUserFactors': [[{ userId: nobody }, asService.headers]],
    'AdminService.RenameUserFactor': [
      [{ userId: nobody, factorId: nobody, friendlyName: 'x' }, asService.headers],
      [{ userId: user.id, factorId: nobody, friendlyName: 'x' }, asService.headers],
      [{ userId: user.id, factorId: nobody }, asService.headers],
    ],
    'AdminService.RemoveUserFactors': [
      [{ userId: nobody }, asService.headers],
      [{ userId: user.id, factorId: nobody }, asService.headers],
      [{ userId: user.id }, as.headers],
    ],
    'AdminService.ListAccounts': [
      [{ userId: nobody }, asService.headers],
      [{}, as.headers],
    ],
    'AdminService.GetAccount': [[{ accountId: nobody }, asService.headers]],
    'AdminService.SendPasswordReset': [
      [{ userId: nobody }, asService.headers],
      [{ userId: user.id }, as.headers],
    ],
    'AdminService.InviteUser': [[{ email: 'eve@example.org', link: {} }, as.headers]],
    'AdminService.GenerateLink': [
      [{ type: 4, email: 'eve@example.org', link: {} }, asService.headers],
      [{ type: 4, email: 'eve@example.org', link: {} }, as.headers],
    ],
    'AdminService.ImpersonateUser': [[{ userId: user.id }, asService.headers]],
    'AdminService.GetSettings': [[{}, as.headers]],
    'AdminService.UpdateSettings': [[{ reset: [99] }, asService.headers]],
    'AdminService.ListOAuthClients': [[{}, as.headers]],
    'AdminService.CreateProject': [
      [{ slug: 'default' }, asService.headers],
      [{ slug: 'b', settings: { siteUrl: 'nowhere', passwordMinLength: 10 } }, asService.headers],
      [{ slug: 'Not a slug', settings: { passwordMinLength: 5 } }, asService.headers],
      [{ slug: 'b' }, as.headers],
    ],
    'AdminService.GetProject': [
      [{ project: 'unknown' }, asService.headers],
      [{}, asService.headers],
    ],
    'AdminService.ListProjects': [[{ pageToken: 'x' }, asService.headers]],
    'AdminService.UpdateProject': [
      [{ project: 'unknown' }, asService.headers],
      [{ project: 'default', settings: { limits: 'AuthService.SignIn=1' } }, asService.headers],
    ],
    'AdminService.ListSigningKeys': [[{}, as.headers]],
    'AdminService.RotateSigningKey': [[{}, as.headers]],
    'AdminService.RevokeSigningKey': [[{ signingKeyId: 'x'.repeat(43) }, asService.headers]],
    'AdminService.ListAuditEvents': [[{ pageToken: 'x' }, asService.headers]],
    'AdminService.DeleteUser': [[{ userId: nobody }, asService.headers]],
  };
  Object.assign(refused, passkeyRefusals(as, nobody));
  Object.assign(refused, accountRefusals(as, nobody), deviceRefusals(as), grantRefusals(as, nobody));
  Object.assign(refused, factorRefusals(as, nobody));
  expect(Object.keys(refused).toSorted(), 'each method once').toEqual(methods.map(nameOf).toSorted());
  const reasons = new Set<string | undefined>();
  for (const method of methods)
    for (const [request, headers] of refused[nameOf(method)]!) {
      const message = create(method.input, request as MessageInitShape<typeof method.input>);
      const [first, ...others] = await Promise.all(
        transports.map((each) => refusalOf(each.unary(method, undefined, undefined, new Headers(headers), message))),
      );
      for (const other of others) expect(other, nameOf(method)).toEqual(first);
      reasons.add(first!.reason);
    }
  expect(reasons.size).toBeGreaterThanOrEqual(12);
});

test('RetryInfo and the retry-after header have the same time to wait', async () => {
  const service = await start({ env: { LIMITS: 'AuthService.SignIn:success=1' } });
  await service.welcome();
  for (const wire of wires) {
    const { auth } = service.clients(wire);
    const error = await auth.signIn({ email: ada.email, password: ada.password }).catch((thrown) => thrown);
    const { retryAfter, reason } = await refusalOf(Promise.reject(error));
    expect(reason).toBe('OVER_REQUEST_RATE_LIMIT');
    expect(retryAfter).toBeGreaterThan(0);
    expect(Number(error.metadata.get('retry-after'))).toBe(Math.ceil(retryAfter!));
  }
});

function call(service: TestService, wire: Wire, method: DescMethodUnary, message: object, headers = {}) {
  return service.transport(wire).unary(method, undefined, undefined, new Headers(headers), message as never);
}

/** Both ports, each with and without gzip in both directions. */
function transportsOf({ replicas }: TestService): Transport[] {
  const { grpcPort, httpPort } = replicas[0]!;
  const address = `127.0.0.1:${grpcPort}`;
  const gzip = { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip };
  const overGrpc = [grpcTransport(address), grpcTransport(address, [], gzip)];
  for (const { close } of overGrpc) onTestFinished(close);
  const json = { baseUrl: `http://127.0.0.1:${httpPort}`, httpVersion: '1.1' } as const;
  return [
    ...overGrpc.map(({ transport }) => transport),
    createConnectTransport({ ...json, acceptCompression: [] }),
    createConnectTransport({ ...json, sendCompression: compressionGzip, compressMinBytes: 1 }),
  ];
}

/** The response with every value that differs between two calls replaced by its kind. */
function anonymous(answer: JsonValue): JsonValue {
  const text = JSON.stringify(answer)
    .replace(/"(userAgent|deviceName)":"[^"]*"/g, '"$1":"<agent>"')
    .replace(/ghot_[\w-]{56}/g, '<one-time value>')
    .replace(/ghpub_[\w-]{32}/g, '<publishable key>')
    .replace(/"slug":"sample-\d+"/g, '"slug":"<slug>"')
    .replace(/"code":"\d{6}"/g, '"code":"<code>"')
    .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]{86}/g, '<access token>')
    .replace(/"keys":\[.*?\]/g, '"keys":"<keys>"')
    .replace(/ghr_[\w-]+/g, '<refresh token>')
    .replace(/ghk_test_\w{71}/g, '<api key>')
    .replace(/ghk_test_\w{8}/g, '<prefix>')
    .replace(/ghos_[\w-]{43}/g, '<state>')
    .replace(/(nonce|code_challenge)=[\w-]{43}/g, '$1=<random>')
    .replace(/identity-\d+/g, '<subject>')
    .replace(/gh[lp]c_[\w-]{43}/g, '<code>')
    .replace(/"(id|userId)":"[\w-]{22}"/g, '"$1":"<user handle>"')
    .replace(/"(challenge|credentialId)":"[\w-]+"/g, '"$1":"<random>"')
    .replace(/"(allAcceptedCredentialIds|excludeCredentials)":\[[^\]]*\]/g, '"$1":"<random>"')
    .replace(/ghp[dr]_[\w-]{43}/g, '<polling secret>')
    .replace(/\b[B-Z]{4}-[B-Z]{4}\b/g, '<user code>')
    .replace(/[0-9A-Z]{4}(-[0-9A-Z]{4}){5}|\b(?!\d{4}-\d\d)[0-9A-Z]{4}-[0-9A-Z]{4}\b(?!-)/g, '<dashboard code>')
    .replace(/ghpf_[\w-]{43}/g, '<code>')
    .replace(/auth_code=[\w.-]+/g, 'auth_code=<auth code>')
    .replace(/machine-\d+/g, '<machine>')
    .replace(/"comparisonNumber":"\d\d"/g, '"comparisonNumber":"<number>"')
    .replace(/"qrCode":"(?:[^"\\]|\\.)*"/g, '"qrCode":"<QR code>"')
    .replace(/\b[A-Z2-7]{32}\b/g, '<secret>')
    .replace(/[0-9A-Z]{5}(-[0-9A-Z]{5}){3}/g, '<recovery code>')
    .replace(/newcomer-\d+/g, '<newcomer>')
    .replace(/ghi_[\w-]{32}/g, '<account invite code>')
    .replace(/ref-[a-z0-9]{16}/g, '<referral code>')
    .replace(/"displayCode":"[A-Z0-9]{8}"/g, '"displayCode":"<display code>"')
    .replace(/"code":"[0-9A-F]{5}(-[0-9A-F]{5}){3}"/g, '"code":"<invite code>"')
    .replace(/"usage":"\d+"/g, '"usage":"<usage>"')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>')
    .replace(/"nextPageToken":"[\w-]+"/g, '"nextPageToken":"<page>"')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>');
  return JSON.parse(text);
}
