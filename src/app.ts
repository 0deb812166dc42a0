import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor, ServiceImplSpec } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { AccountService } from '../gen/gatehouse/v1/account_pb.ts';
import { AdminService } from '../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../gen/gatehouse/v1/auth_pb.ts';
import { SessionService } from '../gen/gatehouse/v1/session_pb.ts';
import { Joining } from './account/invites/joining.ts';
import { accountService } from './account/service.ts';
import { adminService } from './admin/service.ts';
import { serviceCertificateReader } from './api-key/service-certificate.ts';
import type { AuthDeps } from './auth/deps.ts';
import { authService } from './auth/service.ts';
import { UserMail } from './auth/user-mail.ts';
import type { Config } from './config/config.ts';
import type { MasterKeys } from './crypto/master-keys.ts';
import { Autocommit } from './database/autocommit.ts';
import type { Clock } from './database/clock.ts';
import { Refusal } from './errors.ts';
import { Messages } from './mail/mail-messages.ts';
import type { Outbox } from './mail/outbox.ts';
import { MailedCodes } from './one-time/code.ts';
import { defaultProjectId, selectProject } from './project/project.ts';
import { admission } from './rpc/admission.ts';
import { authenticate } from './rpc/authenticate.ts';
import { deadline } from './rpc/deadline.ts';
import { describeBug, errors } from './rpc/errors.ts';
import { Paging } from './rpc/paging.ts';
import { enforcePolicy, policyOf, requirePolicies } from './rpc/policy.ts';
import { limitKey, rateLimit } from './rpc/rate-limit.ts';
import { serve } from './rpc/services.ts';
import { type CallCounter, telemetry } from './rpc/telemetry.ts';
import { unitOfWork } from './rpc/unit-of-work.ts';
import { prepareRules, validate } from './rpc/validate.ts';
import { AccessTokens } from './session/access-token.ts';
import { bearerTokenReader } from './session/bearer-token.ts';
import type { KeyRing } from './session/key-ring.ts';
import type { RotationRules } from './session/refresh.ts';
import { sessionService } from './session/service.ts';
import { SessionLookup } from './session/session-lookup.ts';
import { SessionOpener } from './session/session-opener.ts';
import { traceCalls, traceTransactions } from './telemetry/traces/calls.ts';
import { Budgets } from './throttle/call-budget.ts';
import { Limits } from './throttle/configured-limits.ts';
import { FailedAttempts, type FailureLimits } from './throttle/failed-attempts.ts';
import { MailBudget } from './throttle/mail-budget.ts';
import { countHits } from './throttle/rate-limit-table.ts';
import type { Passwords } from './user/password.ts';

export interface Deps {
  readonly config: Config;
  readonly orm: MikroORM;
  readonly now: Clock;
  /** A monotonic clock in milliseconds, of the process when not given. */
  readonly elapsed?: (() => number) | undefined;
  readonly keys: MasterKeys;
  readonly ring: KeyRing;
  readonly passwords: Passwords;
  readonly outbox: Outbox;
  readonly log: Logger;
  readonly tracer?: Tracer | undefined;
  /** Creates the counter for the calls of these methods. */
  readonly countCalls?: (methods: readonly DescMethod[]) => CallCounter;
}

export interface App {
  readonly services: readonly ServiceImplSpec[];
  readonly interceptors: Interceptor[];
}

/** The parts that several services and interceptors share. */
interface Parts extends Deps {
  /** For statements that serve several calls at once. */
  readonly shared: Autocommit;
  readonly access: AccessTokens;
  readonly limits: Limits;
  readonly sessions: SessionLookup;
  readonly opener: SessionOpener;
  readonly budgets: Budgets;
}

/** What both transports serve. */
export function createApp(deps: Deps): App {
  const { config, orm, now, keys, ring } = deps;
  const issuer = `${config.publicUrl}/auth/v1`;
  const access = new AccessTokens(ring, { issuer, lifetime: config.accessTokenLifetime });
  const limits = new Limits(config.limits);
  const shared = new Autocommit(orm);
  const sessions = new SessionLookup(shared, now);
  const opener = new SessionOpener(keys, access, config.sessionLifetimes);
  const budgets = createBudgets(deps);
  const ofPasswords = failureLimits(AuthService.method.signIn, limits);
  const guessing = {
    passwordFailures: new FailedAttempts('password', deps.keys, budgets, ofPasswords),
    ownPasswordFailures: new FailedAttempts('own password', deps.keys, budgets, {
      consecutive: ofPasswords.consecutive,
    }),
    wrongCodes: new FailedAttempts(
      'code',
      deps.keys,
      budgets,
      failureLimits(AuthService.method.signInWithMagicLink, limits),
    ),
    countGuess: guessCounter(budgets, limits),
  };
  const parts: Parts = { ...deps, shared, access, limits, sessions, opener, budgets };
  const services = createServices(parts, guessing);
  const methods = services.flatMap(({ service }) => service.methods);
  requirePolicies(methods);
  prepareRules(methods.map(({ input }) => input));
  refuseUnknownLimits(limits, methods);
  return {
    services,
    interceptors: createInterceptors(parts, deps.countCalls?.(methods)),
  };
}

function createServices(
  parts: Parts,
  guessing: Pick<AuthDeps, 'passwordFailures' | 'ownPasswordFailures' | 'wrongCodes' | 'countGuess'>,
) {
  const { config, now, keys, ring, passwords, outbox, access, sessions, opener, shared } = parts;
  const messages = new Messages(config.frontendUrl);
  const codes = new MailedCodes(keys);
  const userMail = new UserMail(outbox, messages, codes, config.mail.lifetimes);
  const mailBudget = new MailBudget(keys, config.mail);
  const passwordMinLength = config.passwords.minLength;
  const joining = new Joining(config.accounts);
  const paging = new Paging(keys);
  const { usage, billingSecrets, frontendUrl, signUp, autoConfirmEmail, emailVerification, hideRegistration } = config;
  const settings = { signUp, autoConfirmEmail, emailVerification, hideRegistration };
  return [
    serve(
      AuthService,
      authService({
        ...config,
        ...guessing,
        now,
        passwords,
        opener,
        userMail,
        codes,
        mailBudget,
        passwordMinLength,
        joining,
      }),
    ),
    serve(
      SessionService,
      sessionService({ now, paging, keys, access, opener, sessions, shared, rotationRules: rotationRules(parts) }),
    ),
    serve(
      AccountService,
      accountService({ now, paging, joining, outbox, messages, mailBudget, usage, billingSecrets, frontendUrl }),
    ),
    serve(
      AdminService,
      adminService({ now, paging, passwords, keys, ring, opener, joining, userMail, mailBudget, usage, ...settings }),
    ),
  ];
}

function createInterceptors(parts: Parts, counter?: CallCounter): Interceptor[] {
  const { config, orm, now, log, tracer, access, sessions, limits, budgets } = parts;
  // Outermost first: each interceptor sees what the ones below it throw.
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
      readBearer: bearerTokenReader({ orm, now, access, sessions, serviceKeys: config.serviceKeys }),
      readCertificate: serviceCertificateReader(config.serviceCertificates, defaultProjectId),
      selectProject,
    }),
    enforcePolicy(now),
    validate(),
    unitOfWork(orm, now),
    ...(tracer ? [traceTransactions(tracer)] : []),
  ];
}

function createBudgets({ orm, now, elapsed }: Deps): Budgets {
  const autocommit = new Autocommit(orm);
  return new Budgets((key, hits) => countHits(autocommit, defaultProjectId, key, hits, now()), elapsed);
}

function failureLimits(method: DescMethod, limits: Limits): FailureLimits {
  return limits.failuresOf(limitKey(method), policyOf(method)!.failureLimits!);
}

/** A user's checks of their own password, by whatever method. The budget is ChangePassword's of one session. */
function guessCounter(budgets: Budgets, limits: Limits): AuthDeps['countGuess'] {
  const { changePassword } = AuthService.method;
  const perMinute = limits.limitOf(
    `${limitKey(changePassword)}:session`,
    policyOf(changePassword)!.perSessionPerMinute,
  );
  return async (userId) => {
    const wait = perMinute === undefined ? 0 : await budgets.take(`password ${userId}`, perMinute);
    if (wait > 0) throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: wait });
  };
}

function rotationRules({ config, limits }: Parts): RotationRules {
  const { refresh } = SessionService.method;
  const perMinute = limits.limitOf(`${limitKey(refresh)}:session`, policyOf(refresh)!.perSessionPerMinute);
  return { reuseInterval: config.refreshReuseInterval, perMinute };
}

function refuseUnknownLimits(limits: Limits, methods: readonly DescMethod[]): void {
  const guessed = methods.filter((each) => policyOf(each)?.failureLimits);
  const known = [...methods.map(limitKey), ...guessed.flatMap((each) => Limits.failureKeys(limitKey(each)))];
  const unknown = limits.unknownKeys(new Set(known));
  if (unknown.length > 0)
    throw new Error(`LIMITS names no method of this service: ${unknown.join(', ')} (known: ${known.join(', ')})`);
}
