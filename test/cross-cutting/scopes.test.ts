import { createHash } from 'node:crypto';
import { create, type DescMethodUnary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { Access } from '../../gen/gatehouse/v1/policy_pb.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { methods, nameOf, services } from '../support/contract.ts';
import { refusalOf } from '../support/refusal.ts';
import { startMutually } from '../support/secure.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

const admitting = methods.filter((each) => {
  const { access, admitsServices } = policyOf(each)!;
  return admitsServices || access === Access.SERVICE || access === Access.ADMIN;
});

/** One key without scopes, one for each service, one for each method that admits backends, and two mixed ones. */
const keys: readonly (readonly string[])[] = [
  [],
  ...services.map((each) => [each.name]),
  ...admitting.map((each) => [nameOf(each)]),
  ['SessionService.Introspect', 'AccountService'],
  ['AuthService.SignIn', 'AdminService.GetUser'],
];

// Without dots: a bearer token with dots is an access token.
const keyOf = (scopes: readonly string[]) => `ghs_${scopes.join('_').replaceAll('.', '-')}`;

const listed = keys.map((scopes, index) => {
  const digest = createHash('sha256').update(keyOf(scopes)).digest('hex');
  return [`key-${index}`, digest, ...(scopes.length > 0 ? [scopes.join('+')] : [])].join(':');
});

describe.each(wires)('over %s', (wire) => {
  test('each service key may call the methods of its scopes and no others', async () => {
    const service = await start({ env: { SERVICE_KEYS: listed.join(',') }, skipChecks: ['orphans'] });
    const deviations: object[] = [];
    for (const scopes of keys)
      for (const method of admitting) {
        const isGranted =
          scopes.length === 0 || [method.parent.name, nameOf(method)].some((each) => scopes.includes(each));
        const required = await requiredScope(service, wire, method, keyOf(scopes));
        const expected = isGranted ? undefined : nameOf(method);
        if (required !== expected) deviations.push({ scopes, method: nameOf(method), required });
      }
    expect(deviations).toEqual([]);
  }, 120_000);
});

test('a client certificate may call the methods of its scopes and no others', async () => {
  const listed =
    'spiffe://gatehouse.test/backend:SessionService.Introspect,legacy-backend:AdminService,backend.internal';
  const service = await startMutually({ SERVICE_CERTIFICATES: listed });
  const [backend, legacy] = [service.grpc('backend'), service.grpc('legacy')];
  expect((await backend.sessions.introspect({ token: 'x' })).active).toBe(false);
  expect((await legacy.admin.listUsers({})).users).toEqual([]);
  expect(await refusalOf(backend.admin.listUsers({}))).toMatchObject(lacking('AdminService.ListUsers'));
  const introspecting = legacy.sessions.introspect({ token: 'x' });
  expect(await refusalOf(introspecting)).toMatchObject(lacking('SessionService.Introspect'));
});

function lacking(scope: string) {
  return { code: 7, reason: 'CALLER_NOT_ALLOWED', metadata: { required_scope: scope } };
}

/** The scope that the refusal names. Undefined when the policy admits the key, whatever the method makes of the request. */
async function requiredScope(
  service: TestService,
  wire: Wire,
  method: DescMethodUnary,
  key: string,
): Promise<string | undefined> {
  const headers = new Headers({ authorization: `Bearer ${key}` });
  const call = service.transport(wire).unary(method, undefined, undefined, headers, create(method.input, {}));
  if (
    await call.then(
      () => true,
      () => false,
    )
  )
    return undefined;
  const { reason, metadata } = await refusalOf(call);
  if (['AUTHENTICATION_REQUIRED', 'TOKEN_INVALID'].includes(`${reason}`)) throw new Error(`${key} identifies nobody`);
  return metadata?.required_scope;
}
