import { type DescMethodUnary, fromJson, type JsonObject, toJson } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { Access } from '../../gen/gatehouse/v1/policy_pb.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { methods, nameOf } from '../support/contract.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { prepareSamples } from '../support/samples.ts';
import { bearer, start, type TestService, type Wire, wires } from '../support/start.ts';
import { createTenant, defaultTenant, idsOfDefault } from '../support/tenants.ts';

interface Outcome {
  /** Undefined for a call that succeeded. */
  readonly reason: string | undefined;
  readonly response: JsonObject | undefined;
}

/** Calls a method, and fails the test if a row of the default project changes. */
async function callFromOutside(
  service: TestService,
  wire: Wire,
  method: DescMethodUnary,
  { request, headers }: { request: JsonObject; headers: Record<string, string> },
): Promise<Outcome> {
  const before = await defaultTenant(service.database);
  const message = fromJson(method.input, request);
  const outcome = await service
    .transport(wire)
    .unary(method, undefined, undefined, new Headers(headers), message)
    .then(
      ({ message: answer }) => ({ reason: undefined, response: toJson(method.output, answer) as JsonObject }),
      (thrown) => ({ reason: reasonOf(ConnectError.from(thrown)), response: undefined }),
    );
  expect(await defaultTenant(service.database), `${nameOf(method)} changes nothing`).toEqual(before);
  return outcome;
}

const readsBearer = (method: DescMethodUnary) => {
  const { access, optionalBearer } = policyOf(method)!;
  return access !== Access.PUBLIC || optionalBearer;
};

/** These succeed with the values of another project, and the rows of that project stay as they are. */
const neutral: Readonly<Record<string, 'creates' | 'answers alike for every value' | 'concerns the caller'>> = {
  'AuthService.Register': 'creates',
  'AuthService.SignUpAnonymous': 'creates',
  'AuthService.SignInWithIdToken': 'creates',
  'AuthService.StartOAuth': 'creates',
  'AdminService.CreateUser': 'creates',
  'AdminService.InviteUser': 'creates',
  'AdminService.CreateInviteCode': 'creates',
  'AdminService.GenerateLink': 'creates',
  'DeviceService.RequestDeviceCode': 'creates',
  'DeviceService.StartFingerprintLogin': 'creates',
  'MfaService.StartPasskeySignIn': 'creates',
  'AuthService.RequestMagicLink': 'answers alike for every value',
  'AuthService.RequestPasswordReset': 'answers alike for every value',
  'AuthService.SendVerificationEmail': 'answers alike for every value',
  'AuthService.ResendEmailChange': 'answers alike for every value',
  'AuthService.VerifyResetToken': 'answers alike for every value',
  'AuthService.GetEmailVerificationStatus': 'answers alike for every value',
  'AuthService.GetSettings': 'answers alike for every value',
  'AdminService.ListOAuthClients': 'answers alike for every value',
  'SessionService.SignOut': 'answers alike for every value',
  'SessionService.Introspect': 'answers alike for every value',
  'DeviceService.CancelLogin': 'answers alike for every value',
  'DeviceService.SignOutFingerprint': 'answers alike for every value',
  'AccountService.ConsumeUsage': 'concerns the caller',
  'AccountService.GetReferral': 'concerns the caller',
  'AccountService.GetUsage': 'concerns the caller',
  'AdminService.GetSettings': 'concerns the caller',
  'AdminService.UpdateSettings': 'concerns the caller',
  'AdminService.ListProjects': 'concerns the caller',
  'AdminService.ListUsers': 'concerns the caller',
  'AdminService.ListAuditEvents': 'concerns the caller',
  'AuthService.DeleteMe': 'concerns the caller',
  'AuthService.GetMe': 'concerns the caller',
  'AuthService.LinkIdentity': 'concerns the caller',
  'AuthService.ListIdentities': 'concerns the caller',
  'AuthService.Reauthenticate': 'concerns the caller',
  'AuthService.StartIdentityLink': 'concerns the caller',
  'AuthService.UpdateCredentials': 'concerns the caller',
  'DeviceService.CreateApiKey': 'concerns the caller',
  'DeviceService.CreateDashboardCode': 'concerns the caller',
  'MfaService.EnrollFactor': 'concerns the caller',
  'MfaService.GetAssurance': 'concerns the caller',
  'MfaService.ListFactors': 'concerns the caller',
  'MfaService.ListPasskeys': 'concerns the caller',
  'MfaService.ListTrustedDevices': 'concerns the caller',
  'MfaService.StartPasskeyRegistration': 'concerns the caller',
};

describe.each(wires)('over %s', (wire) => {
  test('a credential is refused where the call names another project, by every method', async () => {
    const service = await start({ env: await providerEnv() });
    const sampleOf = await prepareSamples(service);
    const b = await createTenant(service, 'b');
    const { as } = await service.welcome({
      email: 'keys@example.org',
      password: 'a long enough phrase',
      emailVerified: true,
    });
    const { devices } = service.clients('json');
    const { secret } = await devices.createApiKey({ name: 'a program' }, as);
    const deviations: object[] = [];
    for (const method of methods.filter(readsBearer)) {
      const { request, headers } = await sampleOf(nameOf(method));
      const own = 'authorization' in headers ? headers : as.headers;
      for (const each of [own, b.asBackend.headers, { authorization: `Bearer ${secret}` }]) {
        const project = each === b.asBackend.headers ? 'default' : 'b';
        const sent = { request, headers: { ...each, 'gatehouse-project': project } };
        const { reason } = await callFromOutside(service, wire, method, sent);
        if (reason !== 'PROJECT_MISMATCH') deviations.push({ method: nameOf(method), reason });
      }
    }
    expect(deviations).toEqual([]);
  }, 300_000);

  test('the ids and secrets of one project are worth nothing in another, in every method', async () => {
    const service = await start({ env: await providerEnv() });
    const sampleOf = await prepareSamples(service);
    const b = await createTenant(service, 'b');
    const { admin, auth } = service.clients('json');
    const succeeded = new Set<string>();
    const reasons: Record<string, string> = {};
    const leaks: object[] = [];
    let count = 0;
    /** Somebody of the project b, with the address of the request if it has one. */
    const insider = async (email = `insider-${++count}@example.org`) => {
      const person = { email, password: 'a phrase of the project b' };
      await admin.createUser({ ...person, emailVerified: true }, b.asBackend).catch(() => {});
      const { tokens } = await auth.signIn(person, b.named);
      return bearer(tokens!).headers;
    };
    for (const method of methods) {
      const name = nameOf(method);
      const { request } = await sampleOf(name);
      const { access } = policyOf(method)!;
      if (typeof request.email === 'string' && !/Register|CreateUser|InviteUser/.test(name))
        await insider(request.email);
      const { admitsServices } = policyOf(method)!;
      const ofBackend = access !== Access.USER || admitsServices ? [b.asBackend.headers] : [];
      const ofUser = access === Access.USER ? [await insider()] : [];
      const callers = access === Access.PUBLIC ? [b.named.headers] : [...ofUser, ...ofBackend];
      for (const headers of callers) {
        const { reason, response } = await callFromOutside(service, wire, method, { request, headers });
        if (reason === undefined) succeeded.add(name);
        else reasons[name] = reason;
        const text = JSON.stringify(response ?? {});
        const ids = await idsOfDefault(service.database);
        const shown = (text.match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? []).filter((each) => ids.has(each));
        if (shown.length > 0) leaks.push({ name, shown });
      }
    }
    expect(leaks).toEqual([]);
    expect([...succeeded].sort(), JSON.stringify(reasons)).toEqual(Object.keys(neutral).sort());
  }, 300_000);
});

test('the stream of a login is not opened by its secret in another project', async () => {
  const service = await start();
  const b = await createTenant(service, 'b');
  const { devices } = service.clients('grpc');
  const { deviceCode } = await devices.requestDeviceCode({});
  const first = async (options?: object) => {
    for await (const { state } of devices.awaitLogin({ pollingSecret: deviceCode }, options)) return state;
    return undefined;
  };
  expect(await first()).toBeDefined();
  expect((await refusalOf(first(b.named))).reason).toBe('INVALID_POLLING_CODE');
});
