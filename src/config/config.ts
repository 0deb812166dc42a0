import { availableParallelism } from 'node:os';
import { isLocal, parseConnectionUrl } from '../database/connection-url.ts';
import { findClosestName } from './closest-name.ts';
import { ConfigFaults, type Fault } from './config-faults.ts';
import { readDevelopmentSecrets } from './development-secrets.ts';
import { allAddresses } from './network.ts';
import { type Environment, exampleOf, type Reading, readSetting } from './read-settings.ts';
import { arrangeRegistration } from './registration.ts';
import { arrangeWebauthn } from './relying-party.ts';
import type { Complaint } from './rule.ts';
import { findComplaints } from './rules.ts';
import { type Setting, type SettingName, settings, type Values } from './schema.ts';

export { ConfigFaults } from './config-faults.ts';

/** The configuration of this process, frozen. Times are in seconds. */
export type Config = Frozen<ReturnType<typeof arrange> & { traces: ReturnType<typeof readTracing> }>;

export interface LoadedConfig {
  readonly config: Config;
  /** Warnings for the operator. */
  readonly notices: readonly string[];
}

/**
 * Reads the environment of this process. Outside production, secrets that are not set are generated at the first start and
 * kept in DATA_DIR. Throws ConfigFaults.
 */
export function loadConfig(): LoadedConfig {
  const given = readConfig(process.env);
  if (given.config.environment === 'production') return given;
  const made = readDevelopmentSecrets(given.config);
  const { config, notices } = readConfig({ ...process.env, ...made.secrets });
  return { config, notices: [...notices, ...made.notices] };
}

/** Whether NODE_ENV is production, even if other settings are wrong. */
export function inProduction(): boolean {
  return process.env.NODE_ENV === 'production';
}

/** Reads the settings from `env` and the files it names. Throws ConfigFaults with all faults together. */
export function readConfig(env: Environment): LoadedConfig {
  const readings = (Object.keys(settings) as SettingName[]).map((name) => readSetting(name, env));
  const values = Object.fromEntries(readings.map(({ name, value }) => [name, value])) as Partial<Values>;
  const complaints = findComplaints(values);
  const faults = readings.flatMap((reading) => reading.fault ?? complain(reading, complaints));
  const misspelt = findMisspelt(env);
  if (faults.length > 0) throw new ConfigFaults(faults, misspelt);
  const config = freeze({ ...arrange(values as Values), traces: readTracing(env) });
  return { config, notices: [...misspelt, ...findDoubts(config)] };
}

function complain({ name, found }: Reading, complaints: readonly Complaint[]): Fault[] {
  return complaints
    .filter(({ variable }) => variable === name)
    .map(({ why, allowed, example = exampleOf(name) }) => ({
      variable: name,
      found: `${found}: ${why}`,
      allowed,
      example,
    }));
}

/** Arranges the values, with defaults for those that depend on others. */
function arrange(values: Values) {
  const production = values.NODE_ENV === 'production';
  const workers = values.WORKERS;
  const publicUrl = values.PUBLIC_URL ?? `${values.TLS_CERT ? 'https' : 'http'}://localhost:${values.HTTP_PORT}`;
  // Settings are per replica. The configuration is for one process of it.
  const share = (all: number) => Math.max(1, Math.floor(all / workers));
  return {
    environment: values.NODE_ENV,
    workers,
    dataDir: values.DATA_DIR,
    logLevel: values.LOG_LEVEL,
    host: values.BIND_ADDRESS ?? (production || values.DEV_EXPOSE ? allAddresses() : '127.0.0.1'),
    grpcPort: values.GRPC_PORT,
    httpPort: values.HTTP_PORT,
    /** Undefined: no admin port. */
    adminPort: values.ADMIN_PORT,
    publicUrl,
    issuer: { value: `${publicUrl}/auth/v1`, isConfigured: values.PUBLIC_URL !== undefined },
    ...arrangeGateway(values, production),
    reflection: values.REFLECTION ?? !production,
    tls: arrangeTls(values),
    serviceCertificates: values.SERVICE_CERTIFICATES ?? [],
    database: arrangeDatabase(values, share),
    heartbeat: values.HEARTBEAT,
    masterKeys: values.MASTER_KEYS ?? [],
    serviceKeys: values.SERVICE_KEYS ?? [],
    legacySecrets: values.SUPABASE_JWT_SECRETS ?? [],
    publishableKeys: values.SUPABASE_API_KEYS ?? [],
    ...arrangeTokens(values, production),
    sessions: { lifetimes: arrangeLifetimes(values), sessionsPerUser: values.SESSIONS_PER_USER },
    /** Undefined: no device is trusted. */
    trustedDeviceDays: values.TRUSTED_DEVICE_DAYS,
    passwords: arrangePasswords(values, share),
    registration: arrangeRegistration(values),
    ...arrangeAccounts(values),
    /** In days; undefined keeps all events. */
    auditRetention: values.AUDIT_RETENTION,
    limits: values.LIMITS ?? {},
    ...arrangePages(values, publicUrl),
    maxInFlight: share(values.MAX_IN_FLIGHT),
    /** Of each process. 0 for any number. */
    connectionsPerAddress: values.CONNECTIONS_PER_ADDRESS,
    shutdownDelay: values.SHUTDOWN_DELAY ?? (production ? 5 : 0),
    shutdownGrace: values.SHUTDOWN_GRACE,
    clockOffset: values.CLOCK_OFFSET,
  };
}

function arrangeTokens(values: Values, production: boolean) {
  return {
    anonymousMergeDefault: values.ANONYMOUS_MERGE_DEFAULT,
    accessTokenLifetime: values.ACCESS_TOKEN_LIFETIME,
    tokenClaims: values.TOKEN_CLAIMS ?? [],
    factorRequirement: { requiredFor: values.MFA_REQUIRED_FOR, grace: values.MFA_ENROLMENT_GRACE * 86_400 },
    refreshReuseInterval: values.REFRESH_REUSE_INTERVAL,
    oauthClients: values.OAUTH_CLIENTS ?? [],
    oauthProviders: values.OAUTH_PROVIDERS ?? [],
    /** To the servers of these providers. */
    outbound: { allowsPrivate: values.OAUTH_PRIVATE_ADDRESSES ?? !production, allowsPlainText: !production },
    apiKeys: {
      environment: production ? ('live' as const) : ('test' as const),
      keysPerUser: values.API_KEYS_PER_USER,
      lifetime: values.API_KEY_LIFETIME,
    },
  };
}

function arrangeGateway({ CORS_ORIGINS, JSON_UNKNOWN_FIELDS, TRUSTED_PROXY_HOPS }: Values, production: boolean) {
  return {
    trustedProxyHops: TRUSTED_PROXY_HOPS,
    corsOrigins: CORS_ORIGINS ?? [],
    refusesUnknownFields: (JSON_UNKNOWN_FIELDS ?? (production ? 'ignore' : 'refuse')) === 'refuse',
  };
}

function arrangeDatabase(values: Values, share: (all: number) => number) {
  return {
    url: values.DATABASE_URL,
    poolSize: share(values.DATABASE_POOL_SIZE ?? Math.max(10, 5 * values.WORKERS)),
    connectTimeout: values.DATABASE_CONNECT_TIMEOUT,
    statementTimeout: values.DATABASE_STATEMENT_TIMEOUT,
  };
}

function arrangeAccounts(values: Values) {
  const { QUOTA_ANONYMOUS: anonymous, QUOTA_FREE: free, QUOTA_PAID: paid, REFERRAL_BONUS: bonus } = values;
  return {
    accounts: {
      requireInviteCode: values.REQUIRE_INVITE_CODE && !values.SELF_SERVE_ENABLED,
      trialPlan: values.TRIAL_PLAN,
      trialDays: values.TRIAL_DAYS,
    },
    /** Undefined when usage is off. */
    usage: values.USAGE ? { anonymous, free, paid, bonus } : undefined,
    billingSecrets: values.BILLING_WEBHOOK_SECRETS ?? [],
  };
}

function arrangeLifetimes(values: Values) {
  return {
    web: values.SESSION_LIFETIME_WEB,
    native: values.SESSION_LIFETIME_NATIVE,
    cli: values.SESSION_LIFETIME_CLI,
    device: values.SESSION_LIFETIME_DEVICE,
    service: values.SESSION_LIFETIME_SERVICE,
  };
}

function arrangePasswords(values: Values, share: (all: number) => number) {
  const hashConcurrency = share(values.HASH_CONCURRENCY ?? Math.min(64, availableParallelism() - 1));
  return {
    minLength: values.PASSWORD_MIN_LENGTH,
    /** The first one is part of new hashes. Empty: no hash has a pepper. */
    peppers: values.PASSWORD_PEPPER ?? [],
    cost: values.PASSWORD_HASH_COST,
    hashConcurrency,
    hashQueue: values.HASH_QUEUE === undefined ? 32 * hashConcurrency : Math.ceil(values.HASH_QUEUE / values.WORKERS),
  };
}

function arrangePages(values: Values, publicUrl: string) {
  const { FRONTEND_URL, SITE_URL, REDIRECT_URLS, APP_NAME, APP_URL, LOGO_URL, ACCENT_COLOR } = values;
  const frontendUrl = FRONTEND_URL ?? publicUrl;
  const name = APP_NAME ?? new URL(frontendUrl).host;
  const look = { name, appUrl: APP_URL, logoUrl: LOGO_URL, accent: ACCENT_COLOR };
  return {
    /** The base URL of the pages for links in mail: the application's or, without any, the service's own. */
    frontendUrl,
    ownPages: FRONTEND_URL === undefined,
    /** The text of a style sheet. */
    pagesStylesheet: values.PAGES_STYLESHEET,
    redirects: { siteUrl: SITE_URL ?? frontendUrl, redirectUrls: REDIRECT_URLS ?? [] },
    look,
    relyingParty: arrangeWebauthn(values, name, [frontendUrl, publicUrl]),
    mail: { ...arrangeMail(values), look, pages: frontendUrl },
  };
}

function arrangeMail(values: Values) {
  return {
    mode: values.MAIL_MODE ?? (values.SMTP_URL ? 'smtp' : 'capture'),
    smtp: values.SMTP_URL,
    from: { name: values.MAIL_FROM.name || (values.APP_NAME ?? ''), address: values.MAIL_FROM.address },
    locale: values.MAIL_LOCALE,
    templates: values.MAIL_TEMPLATES,
    gap: values.MAIL_GAP,
    perHour: values.MAIL_HOURLY_LIMIT,
    lifetimes: {
      email_verification: values.VERIFICATION_LIFETIME,
      registration_rejection: values.VERIFICATION_LIFETIME,
      password_reset: values.PASSWORD_RESET_LIFETIME,
      email_change: values.EMAIL_CHANGE_LIFETIME,
      magic_link: values.MAGIC_LINK_LIFETIME,
      email_change_approval: values.EMAIL_CHANGE_LIFETIME,
      invite: 7 * 86_400,
      reauthentication: values.MAGIC_LINK_LIFETIME,
      auth_code: 300,
    },
  };
}

/**
 * Undefined unless OpenTelemetry's own variables name a destination for traces; its SDK reads them itself. `serviceName`
 * is undefined when the variables contain a name.
 */
function readTracing(env: Environment): { serviceName: string | undefined } | undefined {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return undefined;
  const destinations = ['OTEL_TRACES_EXPORTER', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
  if (!destinations.some((name) => env[name])) return undefined;
  const isNamed = env.OTEL_SERVICE_NAME || /\bservice\.name=/.test(env.OTEL_RESOURCE_ATTRIBUTES ?? '');
  return { serviceName: isNamed ? undefined : 'gatehouse' };
}

/** Undefined without TLS. */
function arrangeTls({ TLS_CERT: cert, TLS_KEY: key, TLS_CLIENT_CA: clientCa, CLIENT_CERTIFICATES }: Values) {
  if (!cert || !key) return undefined;
  return { cert, key, clientCa, requireClientCertificates: CLIENT_CERTIFICATES !== 'optional' };
}

function findMisspelt(env: Environment): string[] {
  const entries: [string, Setting][] = Object.entries(settings);
  const known = entries.flatMap(([name, { secret }]) => (secret ? [name, `${name}_FILE`] : [name]));
  return Object.keys(env).flatMap((name) => {
    const meant = env[name] && findClosestName(name, known);
    return meant ? `${name} is not a setting; did you mean ${meant}?` : [];
  });
}

function findDoubts({ environment, database, dataDir, serviceKeys, serviceCertificates }: Config): string[] {
  if (environment !== 'production') return [];
  const embedded = `DATABASE_URL is not set: the embedded database in ${dataDir} serves this machine only, without replicas.`;
  return [
    ...(database.url ? findPlainText(database.url) : [embedded]),
    ...findUnscoped('SERVICE_KEYS', serviceKeys),
    ...findUnscoped('SERVICE_CERTIFICATES', serviceCertificates),
  ];
}

/** Over TLS only these modes protect the connection from a server that pretends to offer none. */
function findPlainText(url: string): string[] {
  const target = parseConnectionUrl(url);
  const isEncrypted = ['require', 'verify-ca', 'verify-full'].includes(target.tls.mode ?? '');
  if (isEncrypted || isLocal(target)) return [];
  return [
    'DATABASE_URL may use plain text over the network: add sslmode=verify-full, or sslmode=require without a check of the certificate.',
  ];
}

function findUnscoped(variable: string, backends: Config['serviceCertificates']): string[] {
  const unscoped = backends.filter(({ scopes }) => !scopes).map(({ name }) => name);
  if (unscoped.length === 0) return [];
  return [`${variable} has no scopes for ${unscoped.join(', ')}: such a backend may call all methods for backends.`];
}

type Frozen<T> = T extends Uint8Array ? T : T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

function freeze<T>(value: T): Frozen<T> {
  // JavaScript cannot freeze the bytes of a Buffer.
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const part of Object.values(value)) freeze(part);
    Object.freeze(value);
  }
  return value as Frozen<T>;
}
