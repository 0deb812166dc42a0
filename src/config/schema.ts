import type { z } from 'zod';
import { accounts, usage } from './accounts.ts';
import { look } from './look.ts';
import { mail } from './mail.ts';
import { network, tls } from './network.ts';
import { oauth } from './oauth.ts';
import { choice, daysOrOff, duration, hashCost, limits, onOff, path, wholeNumber } from './parsers.ts';
import { databaseUrl, jwtSecrets, publishableKeys, secretKeys, serviceKeys } from './secret-parsers.ts';
import { sessions } from './sessions.ts';
import type { Setting, Settings } from './setting.ts';
import { webauthn } from './webauthn.ts';

export type { Setting } from './setting.ts';

const running = {
  NODE_ENV: {
    sentence: 'The environment. Production refuses the settings that exist for development and tests only.',
    reads: choice('development', 'test', 'production'),
    default: 'development',
    example: 'production',
  },
  WORKERS: {
    sentence: 'Number of processes on this machine that serve the same ports as one replica.',
    reads: wholeNumber(1, 64),
    default: '1',
    example: '4',
  },
  DATA_DIR: {
    sentence: 'Directory of the embedded database and of the generated development secrets.',
    reads: path,
    default: '.data',
    example: '/var/lib/gatehouse',
  },
  LOG_LEVEL: {
    sentence: 'Minimum level of the log lines that are written.',
    reads: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    default: 'info',
    example: 'warn',
  },
  SHUTDOWN_DELAY: {
    sentence: 'How long a stopping replica reports that it is not ready before it refuses new calls.',
    reads: duration('0s', '1h'),
    otherwise: '5s in production, else 0s',
    example: '10s',
  },
  SHUTDOWN_GRACE: {
    sentence: 'How long a stopping replica lets running calls finish.',
    reads: duration('0s', '1h'),
    default: '25s',
    example: '25s',
  },
  CLOCK_OFFSET: {
    sentence: 'Shifts the clock, for tests. Refused in production.',
    reads: wholeNumber(-315_360_000, 315_360_000, 'seconds'),
    default: '0',
    example: '3600',
  },
} as const satisfies Settings;

const database = {
  DATABASE_URL: {
    sentence: 'The PostgreSQL database. Without it, an embedded PostgreSQL starts in DATA_DIR.',
    reads: databaseUrl,
    otherwise: 'embedded',
    example: 'postgres://gatehouse:password@localhost:5432/gatehouse',
    secret: true,
  },
  DATABASE_POOL_SIZE: {
    sentence:
      'Maximum number of database connections of one replica, not counting one per process for reads. Divided among WORKERS, at least two each.',
    reads: wholeNumber(1, 500),
    otherwise: '10, or 5 per worker if that is more',
    example: '20',
  },
  DATABASE_CONNECT_TIMEOUT: {
    sentence: 'How long opening a connection may take. connect_timeout in DATABASE_URL overrides it.',
    reads: duration('1s', '60s'),
    default: '3s',
    example: '10s',
  },
  DATABASE_STATEMENT_TIMEOUT: {
    sentence: 'How long a statement may run before the database cancels it.',
    reads: duration('1s', '1h'),
    default: '5s',
    example: '5s',
  },
  HEARTBEAT: {
    sentence:
      'Whether each replica writes one row a second, so that REFRESH_REUSE_INTERVAL does not run while the database confirms no writes. Off for databases that sleep when idle.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
} as const satisfies Settings;

const secrets = {
  MASTER_KEYS: {
    sentence:
      'Keys that protect the secrets in the database. The first key protects new secrets; the others are kept to read older ones. Required in production.',
    reads: secretKeys,
    otherwise: 'generated in DATA_DIR outside production',
    example: 'first:$(openssl rand -base64 32)',
    secret: true,
  },
  SERVICE_KEYS: {
    sentence:
      'Backends that may call as a service, each with the SHA-256 hash of its key. A scope limits the methods that it may call; without one it may call all methods for backends.',
    reads: serviceKeys,
    otherwise: 'none in production, else generated in DATA_DIR',
    example:
      'billing:$(printf %s "$BILLING_KEY" | openssl dgst -sha256 -r | cut -c 1-64):SessionService.Introspect+AccountService',
    secret: true,
  },
  SUPABASE_JWT_SECRETS: {
    sentence:
      'JWT secrets of a Supabase project that moves here. Its service_role keys are accepted on /auth/v1 as the keys of backends.',
    reads: jwtSecrets,
    otherwise: 'none',
    example: 'super-secret-jwt-token-with-at-least-32-characters-long',
    secret: true,
  },
  SUPABASE_API_KEYS: {
    sentence: 'Publishable keys that clients of /auth/v1 have to send as apikey. They are public and give no rights.',
    reads: publishableKeys,
    otherwise: 'none: no apikey is required',
    example: 'sb_publishable_4711',
  },
  PASSWORD_PEPPER: {
    sentence:
      'Keys mixed into password hashes. The first key is mixed into new hashes; the others are kept to verify older ones. A start without a key that the database knows is refused. None may be one of MASTER_KEYS.',
    reads: secretKeys,
    otherwise: 'none',
    example: 'pepper:$(openssl rand -base64 32)',
    secret: true,
  },
} as const satisfies Settings;

const passwords = {
  PASSWORD_MIN_LENGTH: {
    sentence: 'Minimum number of characters of a new password.',
    reads: wholeNumber(6, 64),
    default: '8',
    example: '12',
  },
  PASSWORD_HASH_COST: {
    sentence: 'Parameters of Argon2id. Production refuses values below the minimum that OWASP recommends.',
    reads: hashCost,
    default: 'm=19456,t=2,p=1',
    example: 'm=47104,t=1,p=1',
  },
  SECURE_PASSWORD_CHANGE: {
    sentence:
      'Whether a new password without the current one, as /auth/v1 sets it, needs a sign-in within 24 hours or a code by mail.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
  RECOVERY_REQUIRES_PASSWORD: {
    sentence: 'Whether the link or the code of a recovery mail works only together with a new password.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
  HASH_CONCURRENCY: {
    sentence: 'Number of passwords that one replica hashes at the same time. Divided among WORKERS, at least one each.',
    reads: wholeNumber(1, 64),
    otherwise: 'one less than the number of CPUs, at least 1',
    example: '4',
  },
  HASH_QUEUE: {
    sentence: 'Number of calls that may wait for a password hash in one replica. Further calls are refused.',
    reads: wholeNumber(0, 10_000),
    otherwise: '32 times HASH_CONCURRENCY',
    example: '128',
  },
} as const satisfies Settings;

const admission = {
  SIGN_UP: {
    sentence: 'Whether people may register themselves.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
  ANONYMOUS_SIGN_IN: {
    sentence: 'Whether guests may sign in without a credential.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
  AUTO_CONFIRM_EMAIL: {
    sentence: 'Whether a new e-mail address counts as verified without a verification mail.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
  LIMITS: {
    sentence:
      'Replaces rate limits of the contract: calls per address or, with :session, per session, sign-ins of one account, unknown codes, and the limits of failed attempts (docs/throttling.md).',
    reads: limits,
    otherwise: 'the limits of the contract',
    example: 'AuthService.SignIn=10,SessionService.Refresh:session=20',
  },
  MAX_IN_FLIGHT: {
    sentence:
      'Maximum number of calls that one replica serves at the same time. Further calls are refused. Above half of it each client address has an equal share. Divided among WORKERS.',
    reads: wholeNumber(1, 100_000),
    default: '512',
    example: '1024',
  },
  CONNECTIONS_PER_ADDRESS: {
    sentence:
      'Maximum number of open connections of one client address to each process, to all ports together. Further ones are closed at once. 0 for any number, as behind TRUSTED_PROXY_HOPS.',
    reads: wholeNumber(0, 100_000),
    default: '512',
    example: '2048',
  },
} as const satisfies Settings;

const trail = {
  AUDIT_RETENTION: {
    sentence:
      'Number of days that audit events are kept, or off to keep them for ever. Events are deleted by whole days.',
    reads: daysOrOff,
    default: '400',
    example: '730',
  },
} as const satisfies Settings;

/** The settings by group, in the order people read them. */
export const groups = {
  Process: running,
  Network: network,
  TLS: tls,
  Database: database,
  Secrets: secrets,
  Sessions: sessions,
  OAuth: oauth,
  Passkeys: webauthn,
  Passwords: passwords,
  'Sign-up and limits': admission,
  Accounts: accounts,
  'Usage and billing': usage,
  Mail: mail,
  Look: look,
  'Audit trail': trail,
} as const;

/** Every setting by the name of its environment variable. */
export const settings = {
  ...running,
  ...network,
  ...tls,
  ...database,
  ...secrets,
  ...sessions,
  ...oauth,
  ...webauthn,
  ...passwords,
  ...admission,
  ...accounts,
  ...usage,
  ...mail,
  ...look,
  ...trail,
} as const satisfies Settings;

export type SettingName = keyof typeof settings;

type Read<S extends Setting> = S extends { default: string } ? z.output<S['reads']> : z.output<S['reads']> | undefined;

/** What the settings say, each as its parser reads it; undefined where nothing is set and there is no plain default. */
export type Values = { readonly [Name in SettingName]: Read<(typeof settings)[Name]> };
