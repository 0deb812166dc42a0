import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor, ServiceImplSpec } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Logger } from 'pino';
import { AccountService } from '../gen/gatehouse/v1/account_pb.ts';
import { AdminService } from '../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../gen/gatehouse/v1/auth_pb.ts';
import { GuestDisposition } from '../gen/gatehouse/v1/cli_login_pb.ts';
import { DeviceService } from '../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../gen/gatehouse/v1/session_pb.ts';
import { Joining } from './account/invites/joining.ts';
import { accountService } from './account/service.ts';
import { adminService } from './admin/service.ts';
import { KeyLookup } from './api-key/key-lookup.ts';
import { KeyUses } from './api-key/key-uses.ts';
import { serviceCertificateReader } from './api-key/service-certificate.ts';
import { callerReadersOf } from './auth/caller-readers.ts';
import type { AuthDeps } from './auth/deps.ts';
import { openOAuth } from './auth/oauth/open-oauth.ts';
import { passkeySignIn } from './auth/passkey-sign-in.ts';
import { refreshedUser } from './auth/refreshed-user.ts';
import { authService } from './auth/service.ts';
import { SiteLinks } from './auth/site-link.ts';
import { UserMail } from './auth/user-mail.ts';
import type { Config } from './config/config.ts';
import { projectSettingReader } from './config/project-settings.ts';
import { scopesFault } from './config/scopes.ts';
import { isGuessableDigest } from './config/secret-parsers.ts';
import type { MasterKeys } from './crypto/master-keys.ts';
import { Autocommit } from './database/autocommit.ts';
import type { Clock } from './database/clock.ts';
import { LoginWatch } from './device/login-watch.ts';
import { LoginPolls } from './device/poll.ts';
import { deviceService } from './device/service.ts';
import { UnknownCodes } from './device/unknown-codes.ts';
import { Messages } from './mail/mail-messages.ts';
import type { Outbox } from './mail/outbox.ts';
import { FactorMail } from './mfa/factor-mail.ts';
import { mfaService } from './mfa/service.ts';
import { readUsableFactors } from './mfa/usable-factors.ts';
import { MailedCodes } from './one-time/code.ts';
import { Outbound } from './outbound/outbound.ts';
import { defaultProjectId } from './project/project.ts';
import type { Projects } from './project/projects.ts';
import { type ClaimPageAction, pageActions } from './request-id/page-action.ts';
import { RequestIds } from './request-id/request-ids.ts';
import { admission } from './rpc/admission.ts';
import { authenticate } from './rpc/authenticate.ts';
import { describeBug, type LogBug } from './rpc/bug.ts';
import { errors } from './rpc/connect-error.ts';
import { deadline } from './rpc/deadline.ts';
import { logFaults } from './rpc/fault-log.ts';
import { Paging } from './rpc/paging.ts';
import { enforcePolicy, requirePolicies, scopesOfKeys } from './rpc/policy.ts';
import { rateLimit } from './rpc/rate-limit.ts';
import { selectProject } from './rpc/select-project.ts';
import { serve } from './rpc/services.ts';
import { stepUpFactors } from './rpc/step-up-factors.ts';
import { type CallCounter, telemetry } from './rpc/telemetry.ts';
import { unitOfWork } from './rpc/unit-of-work.ts';
import { validate } from './rpc/validate.ts';
import { AccessTokens } from './session/access-token.ts';
import { bearerTokenReader } from './session/bearer-token.ts';
import { lockFirst } from './session/caller-lock.ts';
import type { KeyRing } from './session/key-ring.ts';
import type { RotationRules } from './session/refresh.ts';
import { sessionService } from './session/service.ts';
import { SessionLookup } from './session/session-lookup.ts';
import { SessionOpener } from './session/session-opener.ts';
import type { Tracing } from './telemetry/traces/tracing.ts';
import { addressBudget } from './throttle/address-budget.ts';
import { CallBudgets } from './throttle/call-budget.ts';
import { ClientSecrets } from './throttle/client-secrets.ts';
import { ConfiguredLimits, limitKey } from './throttle/configured-limits.ts';
import { FailedAttempts } from './throttle/failed-attempts.ts';
import { MailBudget } from './throttle/mail-budget.ts';
import { SignInBudget } from './throttle/sign-in-budget.ts';
import { UserBudget } from './throttle/user-budget.ts';
import type { DecoyHashes } from './user/decoy-hashes.ts';
import type { Passwords } from './user/password.ts';

export interface Deps {
  readonly config: Config;
  /** Of the access tokens. */
  readonly issuer: string;
  readonly orm: MikroORM;
  readonly now: Clock;
  /** A monotonic clock in milliseconds, of the process when not given. */
  readonly elapsed?: (() => number) | undefined;
  readonly keys: MasterKeys;
  readonly projects: Projects;
  readonly ring: KeyRing;
  readonly passwords: Passwords;
  /** Undefined unless responses hide which addresses are registered. */
  readonly decoys: DecoyHashes | undefined;
  readonly outbox: Outbox;
  readonly log: Logger;
  readonly logBug: LogBug;
  readonly tracing?: Tracing | undefined;
  /** Creates the counter for the calls of these methods. */
  readonly countCalls?: (methods: readonly DescMethod[]) => CallCounter;
}

export interface App {
  readonly services: readonly ServiceImplSpec[];
  readonly interceptors: Interceptor[];
  /** Writes when API keys were last used. */
  readonly flushKeyUses: () => Promise<void>;
  /** The streams of this replica. */
  readonly logins: LoginWatch;
  readonly clientSecrets: ClientSecrets;
  readonly claimPageAction: ClaimPageAction;
}

/** The parts that several services and interceptors share. */
interface Parts extends Deps {
  /** For statements that serve several calls at once. */
  readonly shared: Autocommit;
  readonly access: AccessTokens;
  readonly limits: ConfiguredLimits;
  readonly sessions: SessionLookup;
  readonly apiKeys: KeyLookup;
  readonly opener: SessionOpener;
  readonly budgets: CallBudgets;
  readonly watch: LoginWatch;
}

/** What both transports serve. */
export function createApp(deps: Deps): App {
  const { config, issuer, orm, now, keys, ring } = deps;
  const access = new AccessTokens(ring, {
    issuer,
    lifetime: config.accessTokenLifetime,
    accountClaims: config.tokenClaims,
    factorRequirement: config.factorRequirement,
  });
  const limits = new ConfiguredLimits(config.limits, (id) => deps.projects.of(id).settings.limits);
  const shared = new Autocommit(orm);
  const sessions = new SessionLookup(shared, now);
  const uses = new KeyUses();
  const apiKeys = new KeyLookup({ shared, now, environment: config.apiKeys.environment, uses });
  const opener = new SessionOpener(keys, access, config.sessions);
  const { elapsed } = deps;
  const budgets = CallBudgets.inDatabase({ autocommit: shared, now, elapsed });
  const watch = new LoginWatch(shared, now, (thrown) =>
    deps.log.warn({ fault: describeBug(thrown) }, 'the changes of logins could not be read'),
  );
  const parts: Parts = { ...deps, shared, access, limits, sessions, apiKeys, opener, budgets, watch };
  const services = createServices(parts);
  const methods = services.flatMap(({ service }) => service.methods);
  requirePolicies(methods);
  limits.requireKnown(methods);
  return {
    services,
    interceptors: createInterceptors(parts, deps.countCalls?.(methods)),
    flushKeyUses: () => uses.flush(shared, now()),
    logins: watch,
    clientSecrets: new ClientSecrets(budgets, limits),
    claimPageAction: pageActions(shared, now),
  };
}

const keyScopes = scopesOfKeys([AuthService, SessionService, AccountService, DeviceService, MfaService, AdminService]);

/** The limits of sign-ins, and of failed attempts at passwords and codes. */
function createAttempts(keys: MasterKeys, budgets: CallBudgets, limits: ConfiguredLimits) {
  const { signIn, signInWithMagicLink, changePassword } = AuthService.method;
  const failuresOf = (method: DescMethod) => (projectId: string) => limits.of(projectId).failuresOf(method);
  const ownFailures = (id: string) => ({ consecutive: limits.of(id).failuresOf(signIn).consecutive });
  return {
    passwordFailures: new FailedAttempts('password', keys, budgets, failuresOf(signIn)),
    ownPasswordFailures: new FailedAttempts('own password', keys, budgets, ownFailures),
    wrongCodes: new FailedAttempts('code', keys, budgets, failuresOf(signInWithMagicLink)),
    passwordChecks: new UserBudget('password checks', budgets, limits.perSession(changePassword)),
    passwordSignIns: signInBudget({ keys, budgets, limits }, signIn),
    mailSignIns: signInBudget({ keys, budgets, limits }, signInWithMagicLink),
    passkeySignIns: signInBudget({ keys, budgets, limits }, MfaService.method.finishPasskeySignIn),
  };
}

function signInBudget({ keys, budgets, limits }: Pick<Parts, 'keys' | 'budgets' | 'limits'>, method: DescMethod) {
  return new SignInBudget(budgets, keys, (client) => {
    const [own, budget] = [limits.of(client.projectId), addressBudget(limitKey(method), client)];
    const { surface } = client;
    return { budget, failures: own.perAddress(method, surface), successes: own.successes(method, surface) };
  });
}

/** Sign-ins with a provider. */
function createOAuth(parts: Parts): AuthDeps['oauth'] {
  const { config, keys, now, log } = parts;
  const { finishOAuth, signInWithIdToken } = AuthService.method;
  return openOAuth({
    ...{ settings: config.oauthProviders, projects: parts.projects, publicUrl: config.publicUrl, keys, now },
    frontendUrl: config.frontendUrl,
    ...{ outbound: new Outbound(config.outbound), allowsPlainText: config.outbound.allowsPlainText },
    onFault: (fault) => log.warn(fault, 'a provider does not respond as it should'),
    finishes: signInBudget(parts, finishOAuth),
    idTokenSignIns: signInBudget(parts, signInWithIdToken),
  });
}

function createMfa(parts: Parts, factorMail: FactorMail) {
  const { config, issuer, now, keys, ring, opener, outbox, budgets, limits } = parts;
  const { verifyFactor, challengeFactor } = MfaService.method;
  return mfaService({
    ...{ now, keys, ring, issuer, opener, outbox, factorMail },
    ...{ relyingParty: config.relyingParty, projects: parts.projects, trustedDeviceDays: config.trustedDeviceDays },
    isProvider: (name, id) => parts.projects.of(id).settings.providers.includes(name),
    registration: config.registration,
    wrongFactorCodes: new FailedAttempts('factor', keys, budgets, (id) => limits.of(id).failuresOf(verifyFactor)),
    challengeBudget: new UserBudget('challenges', budgets, limits.perSession(challengeFactor)),
  });
}

function createServices(parts: Parts) {
  const { config, now, keys, ring, passwords, decoys, outbox, opener, budgets, limits, projects } = parts;
  const messages = new Messages(projects, config.publicUrl);
  const [codes, links] = [new MailedCodes(keys), new SiteLinks(parts.issuer, projects)];
  const userMail = new UserMail(outbox, messages, codes, { links, lifetimes: config.mail.lifetimes });
  const factorMail = new FactorMail(outbox, messages);
  const [mailBudget, joining] = [new MailBudget(keys, config.mail), new Joining(config.accounts)];
  const [paging, requestIds] = [new Paging(keys), new RequestIds(keys, now)];
  const { usage, billingSecrets, relyingParty, registration } = config;
  const signingIn = {
    ...createAttempts(keys, budgets, limits),
    ...{ now, requestIds, passwords, decoys, opener, joining, userMail, mailBudget, codes, keys, relyingParty },
    ...{ registration, projects, oauth: createOAuth(parts), usage },
  };
  return [
    serve(AuthService, authService(signingIn)),
    serve(SessionService, sessionService({ ...parts, paging, rotationRules: rotationRules(parts), refreshedUser })),
    serve(
      AccountService,
      accountService({
        ...{ now, requestIds, keys, paging, joining, outbox, messages, mailBudget, usage, billingSecrets, projects },
        registration,
      }),
    ),
    serve(
      DeviceService,
      deviceService({
        ...{ now, requestIds, paging, outbox, messages, keys, opener, projects, keyScopes },
        unknownCodes: new UnknownCodes(budgets, limits),
        guestDisposition: config.anonymousMergeDefault === 'keep' ? GuestDisposition.KEEP : GuestDisposition.MERGE,
        watch: parts.watch,
        polls: new LoginPolls(parts.shared),
        registration,
        keyRules: config.apiKeys,
      }),
    ),
    serve(MfaService, { ...passkeySignIn({ ...signingIn, factorMail }), ...createMfa(parts, factorMail) }),
    serve(
      AdminService,
      adminService({
        ...{ now, requestIds, paging, passwords, keys, ring, opener, joining, userMail, mailBudget, factorMail, usage },
        ...{ projects, serviceKeys: config.serviceKeys, oauthClients: config.oauthClients },
        ...{ readSetting: projectSettingReader(config), scopesFault, isGuessableDigest },
        ...{ passwordFailures: signingIn.passwordFailures, ownPasswordFailures: signingIn.ownPasswordFailures },
      }),
    ),
  ];
}

function createInterceptors(parts: Parts, counter?: CallCounter): Interceptor[] {
  const { config, orm, now, log, tracing, sessions, limits, budgets, shared, projects } = parts;
  const findProject = (name: string | undefined) => projects.idOf(name);
  const { serviceKeys, legacySecrets } = config;
  const callerReaders = callerReadersOf(sessions, shared, now);
  // Outermost first: each interceptor sees what the ones below it throw.
  return [
    telemetry(log, counter),
    ...(tracing ? [tracing.calls] : []),
    errors(parts.logBug, logFaults(log)),
    deadline(),
    admission(config.maxInFlight),
    selectProject(findProject),
    rateLimit(budgets, (projectId) => limits.of(projectId)),
    authenticate({
      readBearer: bearerTokenReader({ ...parts, serviceKeys, legacySecrets, callerReaders }),
      readCertificate: serviceCertificateReader(config.serviceCertificates, defaultProjectId),
      findProject,
    }),
    stepUpFactors(({ userId }) => readUsableFactors(shared, userId)),
    enforcePolicy(now, config.factorRequirement),
    validate(),
    unitOfWork({ orm, now, lockFirst }),
    ...(tracing ? [tracing.transactions] : []),
  ];
}

function rotationRules({ config, limits }: Parts): RotationRules {
  const perMinute = limits.perSession(SessionService.method.refresh);
  return { reuseInterval: config.refreshReuseInterval, perMinute, heartbeat: config.heartbeat };
}
