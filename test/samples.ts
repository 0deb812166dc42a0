import type { JsonObject } from '@bufbuild/protobuf';
import { Access } from '../gen/gatehouse/v1/policy_pb.ts';
import { policyOf } from '../src/rpc/policy.ts';
import { methods, nameOf } from './contract.ts';
import { ada, asService, bob } from './people.ts';
import type { TestService } from './start.ts';

/** A request that its method accepts, and the headers of somebody who may make it. */
export interface Sample {
  readonly request: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
}

/** Makes a sample of a method, named as `AuthService.SignIn`, that nobody has used. */
export type Samples = (method: string) => Promise<Sample>;

/** Has the people and sessions in place that the requests speak of. Every method of the contract has a sample. */
export async function prepareSamples(service: TestService): Promise<Samples> {
  const { as } = await service.welcome(ada);
  const { user } = await service.welcome(bob);
  const operator = await service.operator();
  const { user: managed } = await service.clients('json').admin.createUser({ email: 'managed@example.org' }, asService);
  const { sessions } = service.clients('json');
  let count = 0;
  const newcomer = () => ({ email: `newcomer-${++count}@example.org`, password: 'a long enough phrase', name: 'New' });
  const requests: Record<string, () => JsonObject | Promise<JsonObject>> = {
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
    'AdminService.CreateUser': () => ({ ...newcomer(), emailVerified: true, mustChangePassword: true }),
    'AdminService.GetUser': () => ({ userId: user.id }),
    'AdminService.BanUser': () => ({ userId: user.id, duration: '3600s' }),
    'AdminService.UnbanUser': () => ({ userId: user.id }),
    'AdminService.ListUsers': () => ({ emailPrefix: 'managed', banned: false, pageSize: 10 }),
    'AdminService.UpdateUser': () => ({
      userId: managed!.id,
      name: 'Managed',
      emailVerified: true,
      mustChangePassword: false,
      appMetadata: { plan: 'free' },
      userMetadata: { theme: 'dark' },
    }),
    'AdminService.RevokeUserSessions': () => ({ userId: managed!.id }),
    'AdminService.ImpersonateUser': () => ({ userId: managed!.id }),
    'AdminService.GetSettings': () => ({}),
    'AdminService.UpdateSettings': () => ({ settings: { signUp: true }, reset: ['auto_confirm_email'] }),
    'AdminService.ListSigningKeys': () => ({}),
    'AdminService.RotateSigningKey': async () => {
      await service.database.query(`update signing_keys set state_changed_at = state_changed_at - interval '1 hour'`);
      return {};
    },
    'AdminService.RevokeSigningKey': async () => {
      const rows = await service.database.query<{ id: string }>(`select id from signing_keys where state = 'standby'`);
      return { kid: rows[0]!.id };
    },
    'AdminService.ListAuditEvents': () => ({ userId: managed!.id, action: 'user.create', pageSize: 1 }),
    'AdminService.DeleteUser': async () => ({ userId: (await service.welcome(newcomer())).user.id }),
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
    return { request: await requests[name]!(), headers: { ...headers[policyOf(method)!.access] } };
  };
}
