import type { JsonObject } from '@bufbuild/protobuf';
import { Access } from '../../gen/gatehouse/v1/policy_pb.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { accountSamples } from './account-samples.ts';
import { methods, nameOf } from './contract.ts';
import { deviceSamples } from './device-samples.ts';
import { factorSamples } from './factor-samples.ts';
import { grantSamples } from './grant-samples.ts';
import { rejectionLinkFor, tokenFor } from './inbox.ts';
import { oauthSamples } from './oauth-samples.ts';
import { passkeySamples } from './passkey-samples.ts';
import { ada, asService, bob } from './people.ts';
import { projectSamples } from './project-methods.ts';
import { siteSamples } from './site-methods.ts';
import type { TestService } from './start.ts';

/** A request that its method accepts, and the headers of a caller that its policy admits. */
export interface Sample {
  readonly request: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
}

/** Creates a new sample of a method, which is named like `AuthService.SignIn`. */
export type Samples = (method: string) => Promise<Sample>;

// These methods change their caller, who must not be the caller of other samples.
const ofTheirOwn = new Set(['AuthService.DeleteMe', 'AuthService.ChangePassword']);

/** Creates the users and sessions of the requests. Every method of the contract has a sample. The service has the settings of `providerEnv`. */
export async function prepareSamples(service: TestService): Promise<Samples> {
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const { user } = await service.welcome(bob);
  const operator = await service.operator();
  const { user: managed } = await service.clients('json').admin.createUser({ email: 'managed@example.org' }, asService);
  const { sessions } = service.clients('json');
  let count = 0;
  const newcomer = () => ({ email: `newcomer-${++count}@example.org`, password: 'a long enough phrase', name: 'New' });
  const accounts = await accountSamples(service, { operator, newcomer });
  const ofDevices = await deviceSamples(service, newcomer);
  const grants = grantSamples(service, as, newcomer);
  const factors = factorSamples(service, newcomer);
  const passkeys = passkeySamples(service, newcomer);
  const providers = await oauthSamples(service, as.headers);
  const site = siteSamples(service, newcomer);
  const { admin, auth, devices } = service.clients('json');
  /** Creates a user, and returns the token of the mail that `ask` sends them. */
  const mailed = async (ask: (email: string) => Promise<unknown>, person = newcomer()) => {
    await admin.createUser(person, asService);
    await ask(person.email);
    return tokenFor(service, person.email);
  };
  const requests: Record<string, () => JsonObject | Promise<JsonObject>> = {
    'AuthService.UpdateMe': () => ({
      ...{ name: 'Countess', phone: '+44 20 7946 0000', jobTitle: 'Analyst', timezone: 'Europe/London', locale: 'de' },
      ...{ email: newcomer().email, currentPassword: ada.password },
    }),
    'AuthService.DeleteMe': () => ({}),
    'AuthService.ChangePassword': () => ({
      ...{ currentPassword: 'a long enough phrase', newPassword: 'quite another phrase' },
      ...{ currentSession: 'CURRENT_SESSION_ROTATE' },
    }),
    'AuthService.RequestPasswordReset': () => ({ email: ada.email }),
    'AuthService.VerifyResetToken': async () => ({
      token: await mailed((email) => auth.requestPasswordReset({ email })),
    }),
    'AuthService.ResetPassword': async () => ({
      token: await mailed((email) => auth.requestPasswordReset({ email })),
      newPassword: 'quite another phrase',
    }),
    'AuthService.SignInWithResetToken': async () => ({
      token: await mailed((email) => auth.requestPasswordReset({ email })),
      kind: 'SESSION_KIND_NATIVE',
    }),
    'AuthService.GetEmailVerificationStatus': () => ({}),
    'AuthService.SendVerificationEmail': () => ({ email: bob.email }),
    'AuthService.VerifyEmail': async () => ({ token: await mailed((email) => auth.sendVerificationEmail({ email })) }),
    'AuthService.RejectRegistration': async () => {
      const { email } = newcomer();
      await admin.createUser({ email }, asService);
      await auth.sendVerificationEmail({ email });
      return { token: (await rejectionLinkFor(service, email)).token };
    },
    'AuthService.ConfirmEmailChange': async () => {
      const { email } = newcomer();
      const other = await service.welcome(newcomer());
      await auth.updateMe({ email, currentPassword: 'a long enough phrase' }, other.as);
      return { token: await tokenFor(service, email) };
    },
    'AuthService.RequestMagicLink': () => ({ email: ada.email }),
    'AuthService.SignInWithMagicLink': async () => ({
      token: await mailed((email) => auth.requestMagicLink({ email })),
      kind: 'SESSION_KIND_NATIVE',
    }),
    'AuthService.GetSettings': () => ({}),
    'AuthService.Register': newcomer,
    'AuthService.SignIn': () => ({ email: ada.email, password: ada.password, kind: 'SESSION_KIND_NATIVE' }),
    'AuthService.SignUpAnonymous': () => ({ kind: 'SESSION_KIND_NATIVE' }),
    'AuthService.GetMe': () => ({}),
    'SessionService.Refresh': async () => ({ refreshToken: (await service.signIn()).tokens.refreshToken }),
    'SessionService.SignOut': async () => ({
      refreshToken: (await service.signIn()).tokens.refreshToken,
      scope: 'SIGN_OUT_SCOPE_LOCAL',
    }),
    'SessionService.ListSessions': async () => {
      await service.signIn();
      const { nextPageToken } = await sessions.listSessions({ pageSize: 1 }, as);
      return { pageSize: 1, pageToken: nextPageToken };
    },
    'SessionService.GetSession': async () => ({ sessionId: (await service.signIn()).session.id }),
    'SessionService.RevokeSession': async () => ({ sessionId: (await service.signIn()).session.id }),
    'SessionService.Introspect': async () => ({
      token: (await service.signIn()).tokens.accessToken,
      maxStaleness: '1s',
    }),
    'DeviceService.CreateApiKey': () => ({
      name: 'a program',
      scopes: ['AccountService.GetUsage'],
      expireTime: new Date(service.now().getTime() + 86_400_000).toISOString(),
    }),
    'DeviceService.ListApiKeys': async () => {
      for (const name of ['one', 'two']) await devices.createApiKey({ name }, as);
      return { pageSize: 1, pageToken: (await devices.listApiKeys({ pageSize: 1 }, as)).nextPageToken };
    },
    'DeviceService.RevokeApiKey': async () => ({
      apiKeyId: (await devices.createApiKey({ name: 'another program' }, as)).apiKey!.id,
    }),
    'AdminService.CreateUser': () => ({ ...newcomer(), emailVerified: true, mustChangePassword: true }),
    'AdminService.GetUser': () => ({ userId: user.id }),
    'AdminService.BanUser': () => ({ userId: user.id, duration: '3600s' }),
    'AdminService.UnbanUser': () => ({ userId: user.id }),
    'AdminService.ListUsers': () => ({
      emailPrefix: 'managed',
      banned: false,
      role: 'SYSTEM_ROLE_ENGINEER',
      pageSize: 10,
    }),
    'AdminService.UpdateUser': () => ({
      userId: managed!.id,
      name: 'Managed',
      emailVerified: true,
      mustChangePassword: false,
      appMetadata: { plan: 'free' },
      userMetadata: { theme: 'dark' },
    }),
    'AdminService.RevokeUserSessions': () => ({ userId: managed!.id }),
    'AdminService.ListUserSessions': async () => {
      const { user: other } = await service.welcome(newcomer());
      return { userId: other.id, pageSize: 1 };
    },
    'AdminService.RevokeUserSession': async () => {
      const { user: other, session } = await service.welcome(newcomer());
      return { userId: other.id, sessionId: session.id };
    },
    'AdminService.ListUserFactors': async () => ({ userId: (await factors.ownerOfFactor()).id }),
    'AdminService.RenameUserFactor': async () => ({ ...(await factors.enrolled()), friendlyName: 'old phone' }),
    'AdminService.RemoveUserFactors': async () => ({ userId: (await factors.ownerOfFactor()).id }),
    'AdminService.ListAccounts': () => ({ userId: managed!.id, pageSize: 1 }),
    'AdminService.GetAccount': async () => ({ accountId: (await service.welcome(newcomer())).account.id }),
    'AdminService.SendPasswordReset': async () => ({ userId: (await service.welcome(newcomer())).user.id }),
    'AdminService.ImpersonateUser': () => ({ userId: managed!.id }),
    'AdminService.GetSettings': () => ({}),
    'AdminService.UpdateSettings': () => ({ settings: { signUp: true }, reset: ['SETTING_NAME_AUTO_CONFIRM_EMAIL'] }),
    'AdminService.ListOAuthClients': () => ({}),
    'AdminService.ListSigningKeys': () => ({}),
    'AdminService.RotateSigningKey': async () => {
      await service.database.query(`update signing_keys set state_changed_at = state_changed_at - interval '1 hour'`);
      return {};
    },
    'AdminService.RevokeSigningKey': async () => {
      const rows = await service.database.query<{ id: string }>(`select id from signing_keys where state = 'standby'`);
      return { signingKeyId: rows[0]!.id };
    },
    'AdminService.ListAuditEvents': () => ({ userId: managed!.id, action: 'user.create', pageSize: 1 }),
    'AdminService.DeleteUser': async () => ({ userId: (await service.welcome(newcomer())).user.id }),
    ...accounts.requests,
    ...ofDevices.requests,
    ...grants.requests,
    ...factors.requests,
    ...passkeys.requests,
    ...providers.requests,
    ...site.requests,
    ...projectSamples(service),
  };
  const unknown = methods.map(nameOf).filter((each) => !requests[each]);
  if (unknown.length > 0) throw new Error(`no sample of ${unknown.join(', ')}`);
  const headers = {
    [Access.USER]: as.headers,
    [Access.SERVICE]: asService.headers,
    [Access.ADMIN]: operator.as.headers,
  } as Record<Access, object>;
  return async (name) => {
    const method = methods.find((each) => nameOf(each) === name)!;
    const request = await requests[name]!();
    const own =
      (await accounts.headers[name]?.()) ??
      (await ofDevices.headers[name]?.()) ??
      (await grants.headersOf(name)) ??
      factors.headersOf(name) ??
      passkeys.headersOf(name) ??
      site.headersOf(name);
    if (own) return { request, headers: own };
    if (ofTheirOwn.has(name)) return { request, headers: { ...(await service.welcome(newcomer())).as.headers } };
    return { request, headers: { ...headers[policyOf(method)!.access] } };
  };
}
