import type { z } from 'zod';
import {
  certificateNames,
  choice,
  duration,
  hashCost,
  ipAddress,
  lifetime,
  limits,
  onOff,
  origins,
  path,
  pemFile,
  portOrOff,
  publicUrl,
  wholeNumber,
  yesNo,
} from './parsers.ts';
import { databaseUrl, masterKeys, secretKey, serviceKeys } from './secret-parsers.ts';

/** One environment variable. */
export interface Setting {
  /** What it does. */
  readonly sentence: string;
  /** Reads the text; its description says what is allowed. */
  readonly reads: z.ZodType<unknown, string>;
  /** As text, read like any other value. */
  readonly default?: string;
  /** The default in words, where there is none or it depends on something else. */
  readonly otherwise?: string;
  /** A value that would do; the shell may have to expand it. */
  readonly example: string;
  /** Never printed, and also read from the file that NAME_FILE names. */
  readonly secret?: true;
}

type Settings = Readonly<Record<string, Setting>>;

const running = {
  NODE_ENV: {
    sentence: 'Where the service runs; production refuses every shortcut made for development and tests.',
    reads: choice('development', 'test', 'production'),
    default: 'development',
    example: 'production',
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

const network = {
  GRPC_PORT: {
    sentence: 'The port of the gRPC server; 0 takes any free one.',
    reads: wholeNumber(0, 65_535),
    default: '50051',
    example: '50051',
  },
  HTTP_PORT: {
    sentence: 'The port of the HTTP server; 0 takes any free one. It differs from GRPC_PORT.',
    reads: wholeNumber(0, 65_535),
    default: '8080',
    example: '8080',
  },
  ADMIN_PORT: {
    sentence:
      'The port of metrics and probes for operators; 0 takes any free one, off opens none. It differs from the other two.',
    reads: portOrOff,
    default: '9090',
    example: '9464',
  },
  BIND_ADDRESS: {
    sentence: 'The address all servers listen on; outside production any but loopback needs DEV_EXPOSE=yes.',
    reads: ipAddress,
    otherwise: '0.0.0.0 in production or with DEV_EXPOSE=yes, else 127.0.0.1',
    example: '127.0.0.1',
  },
  DEV_EXPOSE: {
    sentence: 'Lets a service outside production listen beyond loopback; refused in production.',
    reads: yesNo,
    default: 'no',
    example: 'yes',
  },
  PUBLIC_URL: {
    sentence: 'The address people and token verifiers know the service by; production requires it, with https.',
    reads: publicUrl,
    otherwise: 'http://localhost:HTTP_PORT, https with TLS_CERT',
    example: 'https://auth.example.com',
  },
  CORS_ORIGINS: {
    sentence: 'The browser origins whose pages may call the service.',
    reads: origins,
    otherwise: 'none',
    example: 'https://app.example.com,http://localhost:3000',
  },
  TRUSTED_PROXY_HOPS: {
    sentence: 'How many proxies stand in front and append to X-Forwarded-For.',
    reads: wholeNumber(0, 10),
    default: '0',
    example: '1',
  },
  REFLECTION: {
    sentence: 'Whether the gRPC server describes itself to tools such as grpcurl.',
    reads: onOff,
    otherwise: 'off in production, else on',
    example: 'on',
  },
} as const satisfies Settings;

const tls = {
  TLS_CERT: {
    sentence:
      'The certificate that both ports show, then its intermediates; with it both speak TLS only. Read again when it changes.',
    reads: pemFile('one certificate or more'),
    otherwise: 'none: no TLS',
    example: '/run/tls/tls.crt',
  },
  TLS_KEY: {
    sentence: 'The private key of TLS_CERT.',
    reads: pemFile('a private key that is not encrypted'),
    otherwise: 'none',
    example: '/run/tls/tls.key',
  },
  TLS_CLIENT_CA: {
    sentence:
      'The authorities whose client certificates are trusted; with it the gRPC port asks for one, the HTTP port never.',
    reads: pemFile('one certificate or more'),
    otherwise: 'none: clients are not asked',
    example: '/run/tls/ca.crt',
  },
  CLIENT_CERTIFICATES: {
    sentence:
      'Whether the gRPC port cuts off clients without a certificate of TLS_CLIENT_CA, or serves them as anybody.',
    reads: choice('required', 'optional'),
    otherwise: 'required with TLS_CLIENT_CA',
    example: 'optional',
  },
  SERVICE_CERTIFICATES: {
    sentence:
      'The backends that may call as a service by their client certificate: a DNS or URI alternative name of it, or the common name of one that has no alternative names.',
    reads: certificateNames,
    otherwise: 'none',
    example: 'orders.internal,spiffe://example.com/billing',
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
    sentence: 'The most connections one replica opens.',
    reads: wholeNumber(1, 500),
    default: '10',
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
    sentence: 'How many passwords are hashed at once.',
    reads: wholeNumber(1, 64),
    otherwise: 'one less than the processors, at least 1',
    example: '4',
  },
  HASH_QUEUE: {
    sentence: 'How many calls may wait for a hash before further ones are refused.',
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
    sentence: "Replaces the contract's call budgets, each per caller or (:session) per session.",
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
} as const satisfies Settings;

export type SettingName = keyof typeof settings;

type Read<S extends Setting> = S extends { default: string } ? z.output<S['reads']> : z.output<S['reads']> | undefined;

/** What the settings say, each as its parser reads it; undefined where nothing is set and there is no plain default. */
export type Values = { readonly [Name in SettingName]: Read<(typeof settings)[Name]> };
