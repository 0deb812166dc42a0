import { type DescMethod, type DescService, getOption, hasOption } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import type { Interceptor } from '@connectrpc/connect';
import { Access, AssuranceLevel, type Policy, policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { type AssuranceNeeds, type FactorRequirement, requireAssurance, requireFactor } from './assurance.ts';
import { type ApiKeyGrant, type Caller, kCaller, type UserCaller } from './context.ts';

/** A user who calls with an API key. */
type KeyCaller = UserCaller & { readonly apiKey: ApiKeyGrant };

// Keyed by the options that they were read from.
const policies = new WeakMap<object, Policy | undefined>();

/** The policy of a method in the contract. Undefined for the methods of health and reflection. */
export function policyOf(method: DescMethod): Policy | undefined {
  const { options } = method.proto;
  if (!options) return undefined;
  // Every call reads its policy, and getOption decodes it each time.
  if (!policies.has(options)) policies.set(options, hasOption(method, policy) ? getOption(method, policy) : undefined);
  return policies.get(options);
}

/** The scopes that an API key may have: the methods that admit API keys, and their services. */
export function scopesOfKeys(services: readonly DescService[]): ReadonlySet<string> {
  const admitting = services.flatMap(({ methods }) => methods).filter((each) => policyOf(each)?.admitsApiKeys);
  return new Set(admitting.flatMap(({ parent, name }) => [parent.name, `${parent.name}.${name}`]));
}

/** Throws unless every method declares its access: a method without a policy would be open to everybody. */
export function requirePolicies(methods: readonly DescMethod[]): void {
  const missing = methods.filter((each) => (policyOf(each)?.access ?? Access.UNSPECIFIED) === Access.UNSPECIFIED);
  if (missing.length > 0)
    throw new Error(`no policy on ${missing.map((each) => `${each.parent.typeName}.${each.name}`).join(', ')}`);
}

/** Refuses a call whose caller is not admitted by the policy of the method. */
export function enforcePolicy(now: Clock, requirement: FactorRequirement): Interceptor {
  return (next) => (req) => {
    const rules = policyOf(req.method);
    if (rules) {
      const caller = req.contextValues.get(kCaller);
      admit(rules, caller, req.method, now());
      if (isUser(caller) && reads(rules) && !rules.admitsFactorRequired) requireFactor(requirement, caller, now());
    }
    return next(req);
  };
}

function isUser(caller: Caller | Refusal | undefined): caller is UserCaller {
  return caller !== undefined && !(caller instanceof Refusal) && caller.kind === 'user';
}

/** Whether the method looks at its caller. */
function reads({ access, optionalBearer }: Policy): boolean {
  return access !== Access.PUBLIC || optionalBearer;
}

function isReadOnly(method: DescMethod): boolean {
  return method.methodKind === 'unary' && method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
}

function admit(rules: Policy, caller: Caller | Refusal | undefined, method: DescMethod, now: Date): void {
  // An operator who acts as a user may only read, and call what the policy admits for impersonation.
  if (isImpersonated(caller) && !isReadOnly(method) && !rules.admitsImpersonation)
    throw new Refusal('IMPERSONATION_NOT_ALLOWED');
  if (isKeyCaller(caller)) admitKey(rules, caller, method);
  if (rules.access === Access.PUBLIC) {
    admitOptional(rules, caller);
    return;
  }
  if (caller instanceof Refusal) throw caller;
  if (!caller) throw new Refusal('AUTHENTICATION_REQUIRED');
  if (!hasAccess(rules, caller)) throw new Refusal('CALLER_NOT_ALLOWED');
  if (caller.kind === 'user') admitUser(rules, caller, now);
  else if (caller.scopes) requireScope(caller.scopes, method);
}

/** A public method that reads an access token is closed to users who must change their password, too. */
function admitOptional(rules: Policy, caller: Caller | Refusal | undefined): void {
  // The method decides itself about an invalid credential: SignOut with a refresh token needs none.
  if (isUser(caller)) requireOwnPassword(rules, caller);
}

function requireOwnPassword(rules: Policy, caller: UserCaller): void {
  if (caller.mustChangePassword && !rules.admitsPasswordChangeRequired) throw new Refusal('PASSWORD_CHANGE_REQUIRED');
}

function isImpersonated(caller: Caller | Refusal | undefined): boolean {
  return isUser(caller) && !!caller.impersonatorId;
}

function isKeyCaller(caller: Caller | Refusal | undefined): caller is KeyCaller {
  return isUser(caller) && !!caller.apiKey;
}

/** A method that does not name API keys refuses them, public ones that read an access token included. */
function admitKey(rules: Policy, { apiKey: { scopes } }: KeyCaller, method: DescMethod): void {
  if (!rules.admitsApiKeys) throw new Refusal('CALLER_NOT_ALLOWED');
  if (scopes.length > 0) requireScope(scopes, method);
}

function hasAccess({ access, admitsServices }: Policy, caller: Caller): boolean {
  if (caller.kind === 'service' && admitsServices) return true;
  if (access === Access.ADMIN) return caller.kind === 'service' || caller.isOperator;
  return (access === Access.USER) === (caller.kind === 'user');
}

function requireScope(scopes: readonly string[], { parent, name }: DescMethod): void {
  const scope = `${parent.name}.${name}`;
  if (!scopes.includes(parent.name) && !scopes.includes(scope))
    throw new Refusal('CALLER_NOT_ALLOWED', { metadata: { required_scope: scope } });
}

function admitUser(rules: Policy, caller: UserCaller, now: Date): void {
  if (caller.isGuest && !rules.admitsGuests) throw new Refusal('GUEST_NOT_ALLOWED');
  requireOwnPassword(rules, caller);
  const needs = needsOf(rules);
  // A guest has nothing to authenticate with again.
  requireAssurance(caller, caller.isGuest ? { ...needs, maxAge: undefined } : needs, now);
}

function needsOf({ access, minAssurance, aal2IfEnrolled, maxAuthenticationAge }: Policy): AssuranceNeeds {
  const asksOwners = aal2IfEnrolled || access === Access.ADMIN;
  const secondFactor = minAssurance === AssuranceLevel.AAL2 ? 'always' : asksOwners ? 'if enrolled' : undefined;
  return { secondFactor, maxAge: maxAuthenticationAge && Number(maxAuthenticationAge.seconds) };
}
