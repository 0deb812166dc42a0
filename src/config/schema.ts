import type { z } from 'zod';
import { accounts, usage } from './accounts.ts';
import { mail } from './mail.ts';
import { network, tls } from './network.ts';
import { choice, daysOrOff, duration, hashCost, lifetime, limits, onOff, path, wholeNumber } from './parsers.ts';
import { databaseUrl, masterKeys, secretKey, serviceKeys } from './secret-parsers.ts';
import type { Setting, Settings } from './setting.ts';

export type { Setting } from './setting.ts';

const running = {
  NODE_ENV: {
    sentence: 'Where the service runs; production refuses every shortcut made for development and tests.',
    reads: choice('development', 'test', 'production'),
    default: 'development',
    example: 'production',
  },
  WORKERS: {
    sentence: 'How many processes of this machine serve the same ports, as one replica.',
    reads: wholeNumber(1, 64),
    default: '1',
    example: '4',
  },
  DATA_DIR: {
    sentence: 'Where the embedded database and the development secrets live.',
    reads: path,
    default: '.data',
    example: '/var/lib/gatehouse',
  },
  LOG_LEVEL: {
    sentence: 'The least important log lines that are written.',
    reads: choice('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    default: 'info',
    example: 'warn',
  },
  SHUTDOWN_DELAY: {
    sentence: 'How long a stopping replica reports itself not ready before it refuses calls.',
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
    sentence: 'Moves the clock of tests; refused in production.',
    reads: wholeNumber(-315_360_000, 315_360_000, 'seconds'),
    default: '0',
    example: '3600',
  },
} as const satisfies Settings;

const database = {
  DATABASE_URL: {
    sentence: 'The PostgreSQL database; without it an embedded one starts in DATA_DIR.',
    reads: databaseUrl,
    otherwise: 'embedded',
    example: 'postgres://gatehouse:password@localhost:5432/gatehouse',
    secret: true,
  },
  DATABASE_POOL_SIZE: {
    sentence:
      'The most connections one replica opens, beside one per process for reads; WORKERS share them, two each at least.',
    reads: wholeNumber(1, 500),
    otherwise: '10, or 5 for each of WORKERS where that is more',
    example: '20',
  },
  DATABASE_STATEMENT_TIMEOUT: {
    sentence: 'After how long the database gives up on a statement.',
    reads: duration('1s', '1h'),
    default: '5s',
    example: '5s',
  },
} as const satisfies Settings;

const secrets = {
  MASTER_KEYS: {
    sentence: 'The keys that seal what the database holds; older ones still open. Production requires them.',
    reads: masterKeys,
    otherwise: 'generated in DATA_DIR outside production',
    example: 'first:$(openssl rand -base64 32)',
    secret: true,
  },
  SERVICE_KEYS: {
    sentence: 'The backends that may call as a service, each by the SHA-256 of its key.',
    reads: serviceKeys,
    otherwise: 'none in production, else generated in DATA_DIR',
    example: 'billing:$(printf %s "$BILLING_KEY" | openssl dgst -sha256 -r | cut -c 1-64)',
    secret: true,
  },
  PASSWORD_PEPPER: {
    sentence: 'A key mixed into every password hash; whoever sets it must keep it. Not one of MASTER_KEYS.',
    reads: secretKey,
    otherwise: 'none',
    example: 'pepper:$(openssl rand -base64 32)',
    secret: true,
  },
} as const satisfies Settings;

const sessions = {
  ACCESS_TOKEN_LIFETIME: {
    sentence: 'How long an access token is valid.',
    reads: wholeNumber(1, 86_400, 'seconds'),
    default: '3600',
    example: '900',
  },
  REFRESH_REUSE_INTERVAL: {
    sentence: 'How long the refresh token just spent answers with its successor again, for lost replies and two tabs.',
    reads: wholeNumber(0, 60, 'seconds'),
    default: '10',
    example: '10',
  },
  SESSION_LIFETIME_WEB: sessionLifetime('a browser', '7d/30d'),
  SESSION_LIFETIME_NATIVE: sessionLifetime('a native app', '30d/90d'),
  SESSION_LIFETIME_CLI: sessionLifetime('a command line', '30d/365d'),
  SESSION_LIFETIME_DEVICE: sessionLifetime('a device', '30d/365d'),
  SESSION_LIFETIME_SERVICE: sessionLifetime('a service', '30d/365d'),
} as const satisfies Settings;

const passwords = {
  PASSWORD_MIN_LENGTH: {
    sentence: 'The fewest characters of a new password.',
    reads: wholeNumber(6, 64),
    default: '8',
    example: '12',
  },
  PASSWORD_HASH_COST: {
    sentence: 'The parameters of Argon2id; production refuses less than the OWASP minimum.',
    reads: hashCost,
    default: 'm=19456,t=2,p=1',
    example: 'm=47104,t=1,p=1',
  },
  HASH_CONCURRENCY: {
    sentence: 'How many passwords one replica hashes at once; its WORKERS share them, one each at least.',
    reads: wholeNumber(1, 64),
    otherwise: 'one less than the processors, at least 1',
    example: '4',
  },
  HASH_QUEUE: {
    sentence: 'How many calls of one replica may wait for a hash before further ones are refused.',
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
  AUTO_CONFIRM_EMAIL: {
    sentence: 'Whether a new e-mail address counts as verified without a mail.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
  LIMITS: {
    sentence:
      "Replaces the contract's call budgets, each per caller or (:session) per session, and those of failures (docs/throttling.md).",
    reads: limits,
    otherwise: "the contract's",
    example: 'AuthService.SignIn=10,SessionService.Refresh:session=20',
  },
  MAX_IN_FLIGHT: {
    sentence: 'How many calls one replica serves at once before it refuses further ones.',
    reads: wholeNumber(1, 100_000),
    default: '512',
    example: '1024',
  },
} as const satisfies Settings;

const trail = {
  AUDIT_RETENTION: {
    sentence: 'How many days audit events are kept; whole days are dropped, and off keeps them for good.',
    reads: daysOrOff,
    default: '400',
    example: '730',
  },
} as const satisfies Settings;

function sessionLifetime<const T extends string>(client: string, limits: T) {
  return {
    sentence: `How long a session of ${client} lives unused, and how long at all.`,
    reads: lifetime,
    default: limits,
    example: limits,
  };
}

/** The settings by group, in the order people read them. */
export const groups = {
  Process: running,
  Network: network,
  TLS: tls,
  Database: database,
  Secrets: secrets,
  Sessions: sessions,
  Passwords: passwords,
  'Sign-up and limits': admission,
  Accounts: accounts,
  'Usage and billing': usage,
  Mail: mail,
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
  ...passwords,
  ...admission,
  ...accounts,
  ...usage,
  ...mail,
  ...trail,
} as const satisfies Settings;

export type SettingName = keyof typeof settings;

type Read<S extends Setting> = S extends { default: string } ? z.output<S['reads']> : z.output<S['reads']> | undefined;

/** What the settings say, each as its parser reads it; undefined where nothing is set and there is no plain default. */
export type Values = { readonly [Name in SettingName]: Read<(typeof settings)[Name]> };
