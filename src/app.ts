import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor, ServiceImplSpec } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { AccountService } from '../gen/gatehouse/v1/account_pb.ts';
import { AdminService } from '../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../gen/gatehouse/v1/auth_pb.ts';
import { type GetSessionRequest, SessionService } from '../gen/gatehouse/v1/session_pb.ts';
import { Joining } from './account/invites/joining.ts';
import { accountService } from './account/service.ts';
import { adminService } from './admin/service.ts';
import { serviceCertificateReader } from './api-key/service-certificate.ts';
import { serviceKeyReader } from './api-key/service-key.ts';
import type { AuthDeps } from './auth/deps.ts';
import { authService } from './auth/service.ts';
import { UserMail } from './auth/user-mail.ts';
import type { Config } from './config/config.ts';
import type { MasterKeys } from './crypto/master-keys.ts';
import { Autocommit } from './database/autocommit.ts';
import type { Clock } from './database/clock.ts';
import { Messages } from './mail/mail-messages.ts';
import type { Outbox } from './mail/outbox.ts';
import { MailedCodes } from './one-time/code.ts';
import { defaultProjectId, selectProject } from './project/project.ts';
import { admission } from './rpc/admission.ts';
import { authenticate, type ReadBearer } from './rpc/authenticate.ts';
import { deadline } from './rpc/deadline.ts';
import { describeBug, errors } from './rpc/errors.ts';
import { enforcePolicy, requirePolicies } from './rpc/policy.ts';
import { rateLimit } from './rpc/rate-limit.ts';
import { serve } from './rpc/services.ts';
import { type CallCounter, telemetry } from './rpc/telemetry.ts';
import { unitOfWork } from './rpc/unit-of-work.ts';
import { prepareRules, validate } from './rpc/validate.ts';
import { AccessTokens } from './session/access-token.ts';
import type { KeyRing } from './session/key-ring.ts';
import { Rotations } from './session/refresh.ts';
import { sessionService } from './session/service.ts';
import { kAskedSession, SessionLookup, SessionMemory } from './session/session-lookup.ts';
import { SessionOpener } from './session/session-opener.ts';
import { traceCalls, traceTransactions } from './telemetry/traces/calls.ts';
import { CallBudgets } from './throttle/call-budget.ts';
import { ConfiguredLimits } from './throttle/configured-limits.ts';
import { FailedAttempts } from './throttle/failed-attempts.ts';
import { MailBudget } from './throttle/mail-budget.ts';
import { PasswordChecks } from './throttle/password-checks.ts';
import type { Passwords } from './user/password.ts';

export interface Deps {
  readonly config: Config;
  readonly orm: MikroORM;
  readonly now: Clock;
  /** Milliseconds that only ever grow; those of the process when not given. */
  readonly elapsed?: (() => number) | undefined;
  readonly keys: MasterKeys;
  readonly ring: KeyRing;
  readonly passwords: Passwords;
  readonly outbox: Outbox;
  readonly log: Logger;
  readonly tracer?: Tracer | undefined;
  /** Makes the counter of the calls of these methods. */
  readonly countCalls?: (methods: readonly DescMethod[]) => CallCounter;
}

export interface App {
  readonly services: readonly ServiceImplSpec[];
  readonly interceptors: Interceptor[];
}

/** What both transports serve. */
export function createApp(deps: Deps): App {
  const { config, keys, ring } = deps;
  const issuer = `${config.publicUrl}/auth/v1`;
  const access = new AccessTokens(ring, { issuer, lifetime: config.accessTokenLifetime });
  const limits = new ConfiguredLimits(config.limits);
  const sessions = new SessionLookup(new Autocommit(deps.orm), deps.now);
  const opener = new SessionOpener(keys, access, config.sessionLifetimes);
  const budgets = CallBudgets.inDatabase({
    autocommit: new Autocommit(deps.orm),
    projectId: defaultProjectId,
    now: deps.now,
    elapsed: deps.elapsed,
  });
  const attempts = createAttempts(keys, budgets, limits);
  const services = createServices(deps, access, sessions, opener, attempts, createRotations(deps, limits));
  const methods = services.flatMap(({ service }) => service.methods);
  requirePolicies(methods);
  prepareRules(methods.map(({ input }) => input));
  limits.requireKnown(methods);
  return {
    services,
    interceptors: createInterceptors(deps, access, sessions, limits, budgets, deps.countCalls?.(methods)),
  };
}

/** The limits of failed attempts at passwords and codes. */
function createAttempts(keys: MasterKeys, budgets: CallBudgets, limits: ConfiguredLimits) {
  const { signIn, signInWithMagicLink, changePassword } = AuthService.method;
  const { consecutive } = limits.failuresOf(signIn);
  return {
    passwordFailures: new FailedAttempts('password', keys, budgets, limits.failuresOf(signIn)),
    ownPasswordFailures: new FailedAttempts('own password', keys, budgets, { consecutive }),
    wrongCodes: new FailedAttempts('code', keys, budgets, limits.failuresOf(signInWithMagicLink)),
    passwordChecks: new PasswordChecks(budgets, limits.perSession(changePassword)),
  };
}

function createServices(
  deps: Deps,
  access: AccessTokens,
  sessions: SessionLookup,
  opener: SessionOpener,
  attempts: ReturnType<typeof createAttempts>,
  rotations: Rotations,
) {
  const { config, now, keys, ring, passwords, outbox } = deps;
  const messages = new Messages(config.frontendUrl);
  const codes = new MailedCodes(keys);
  const userMail = new UserMail(outbox, messages, codes, config.mail.lifetimes);
  const mailBudget = new MailBudget(keys, config.mail);
  const memory = new SessionMemory();
  const joining = new Joining(config.accounts);
  return [
    serve(
      AuthService,
      authService({
        ...attempts,
        now,
        passwords,
        opener,
        joining,
        userMail,
        mailBudget,
        codes,
        registration: registrationSettings(config),
        usage: config.usage,
      }),
    ),
    serve(SessionService, sessionService({ now, keys, access, opener, rotations, sessions, memory })),
    serve(AccountService, accountService({ ...config, now, joining, outbox, messages, mailBudget })),
    serve(
      AdminService,
      adminService({ now, passwords, keys, ring, opener, joining, userMail, mailBudget, defaults: config }),
    ),
  ];
}

function createInterceptors(
  deps: Deps,
  access: AccessTokens,
  sessions: SessionLookup,
  limits: ConfiguredLimits,
  budgets: CallBudgets,
  counter?: CallCounter,
): Interceptor[] {
  const { config, orm, now, log, tracer } = deps;
  // Outermost first: each one sees what those below it throw.
  return [
    telemetry(log, counter),
    ...(tracer ? [traceCalls(tracer)] : []),
    errors((cause, requestId) => log.error({ requestId, bug: describeBug(cause) }, 'a bug')),
    deadline(),
    admission(config.maxInFlight),
    rateLimit(
      (key, perMinute) => budgets.take(key, perMinute),
      (key, byContract) => limits.limitOf(key, byContract),
    ),
    authenticate({
      readBearer: bearerReader(deps, access, sessions),
      readCertificate: serviceCertificateReader(config.serviceCertificates, defaultProjectId),
      selectProject,
    }),
    enforcePolicy(now),
    validate(),
    unitOfWork(orm, now),
    ...(tracer ? [traceTransactions(tracer)] : []),
  ];
}

/** A bearer with two dots is an access token; anything else can only be a service key. */
function bearerReader({ config, orm, now }: Deps, access: AccessTokens, sessions: SessionLookup): ReadBearer {
  const readServiceKey = serviceKeyReader(config.serviceKeys);
  return async (bearer, { signal, method, message, contextValues }) => {
    if (!bearer.includes('.')) return readServiceKey(bearer, defaultProjectId);
    const claims = await access.read(bearer, now());
    const autocommit = new Autocommit(orm, signal);
    if (method !== SessionService.method.getSession) return sessions.callerOf(autocommit, claims);
    const { sessionId } = message as GetSessionRequest;
    const { caller, session } = await sessions.callerAndSession(autocommit, claims, sessionId);
    contextValues.set(kAskedSession, session);
    return caller;
  };
}

function createRotations({ config, orm, now }: Deps, limits: ConfiguredLimits): Rotations {
  const perMinute = limits.perSession(SessionService.method.refresh);
  const rules = { reuseInterval: config.refreshReuseInterval, perMinute: perMinute ?? 2 ** 31 - 1 };
  return new Rotations(new Autocommit(orm), rules, now);
}

function registrationSettings(config: Config): AuthDeps['registration'] {
  const { signUp, autoConfirmEmail, emailVerification, hideRegistration, requireVerifiedEmail } = config;
  return { signUp, autoConfirmEmail, emailVerification, hideRegistration, requireVerifiedEmail };
}
