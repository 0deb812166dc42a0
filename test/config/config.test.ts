import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { describeSettings } from '../../src/config/help.ts';
import { allAddresses } from '../../src/config/network.ts';
import { faultsOf, faulty, key, production, read } from '../support/config-fixtures.ts';

test('without settings the service is for development, on loopback', () => {
  const { config, notices } = readConfig({});
  expect(notices).toEqual([]);
  expect(config).toMatchObject({
    environment: 'development',
    workers: 1,
    dataDir: resolve('.data'),
    logLevel: 'info',
    host: '127.0.0.1',
    grpcPort: 50051,
    httpPort: 8080,
    adminPort: 9090,
    traces: undefined,
    publicUrl: 'http://localhost:8080',
    corsOrigins: [],
    trustedProxyHops: 0,
    reflection: true,
    tls: undefined,
    serviceCertificates: [],
    database: { url: undefined, poolSize: 10, statementTimeout: 5 },
    masterKeys: [],
    serviceKeys: [],
    accessTokenLifetime: 3600,
    refreshReuseInterval: 10,
    passwords: { minLength: 8, peppers: [], cost: { memoryCost: 19_456, timeCost: 2, parallelism: 1 } },
    registration: { signUp: true, autoConfirmEmail: false },
    limits: {},
    maxInFlight: 512,
    shutdownDelay: 0,
    shutdownGrace: 25,
    clockOffset: 0,
  });
  expect(config.passwords.hashQueue).toBe(32 * config.passwords.hashConcurrency);
});

test('the limits of a replica are divided among its workers and never exceeded', () => {
  const env = { DATABASE_POOL_SIZE: '21', HASH_CONCURRENCY: '10', HASH_QUEUE: '30', MAX_IN_FLIGHT: '1000' };
  const { database, passwords, maxInFlight } = read({ ...env, WORKERS: '4' });
  const shared = { poolSize: 5, hashConcurrency: 2, hashQueue: 8, maxInFlight: 250 };
  expect({ ...database, ...passwords, maxInFlight }).toMatchObject(shared);
  expect(read({ ...env, WORKERS: '10', HASH_CONCURRENCY: '3' })).toMatchObject({
    database: { poolSize: 2 },
    passwords: { hashConcurrency: 1 },
  });
  expect(read({ WORKERS: '64' }).database.poolSize).toBe(5);
  expect(read({ WORKERS: '2', HASH_QUEUE: '0' }).passwords.hashQueue).toBe(0);
  expect(faulty({ ...env, WORKERS: '11' })).toEqual(['DATABASE_POOL_SIZE']);
});

test('each kind of session has its own default lifetimes', () => {
  const days = (idle: number, absolute: number) => ({ idle: idle * 86_400, absolute: absolute * 86_400 });
  expect(read({}).sessions.lifetimes).toEqual({
    web: days(7, 30),
    native: days(30, 90),
    cli: days(30, 365),
    device: days(30, 365),
    service: days(30, 365),
  });
});

test('an empty variable counts as not set', () => {
  const empty = Object.fromEntries(describeSettings().map(({ name }) => [name, '']));
  expect(readConfig({ ...empty, MASTER_KEYS_FILE: '', GRCP_PORT: '' })).toEqual(readConfig({}));
});

test('the configuration is frozen at every depth', () => {
  const config = read({ LIMITS: '*=off', CORS_ORIGINS: 'https://a.example', MASTER_KEYS: key('first') });
  const parts = [config, config.database, config.sessions.lifetimes.web, config.passwords.cost, config.limits];
  for (const part of [...parts, config.corsOrigins, config.masterKeys, config.masterKeys[0]])
    expect(part).toSatisfy(Object.isFrozen);
});

test.each<[name: string, text: string, field: string, value: unknown]>([
  ['DATA_DIR', 'state', 'dataDir', resolve('state')],
  ['LOG_LEVEL', 'silent', 'logLevel', 'silent'],
  ['GRPC_PORT', '0', 'grpcPort', 0],
  ['ADMIN_PORT', '0', 'adminPort', 0],
  ['ADMIN_PORT', '65535', 'adminPort', 65_535],
  ['ADMIN_PORT', 'off', 'adminPort', undefined],
  ['PUBLIC_URL', 'http://Auth.example:3000/', 'publicUrl', 'http://auth.example:3000'],
  [
    'CORS_ORIGINS',
    'https://a.example, http://[::1]:3000,capacitor://localhost',
    'corsOrigins',
    ['https://a.example', 'http://[::1]:3000', 'capacitor://localhost'],
  ],
  ['REFLECTION', 'off', 'reflection', false],
  ['SIGN_UP', 'off', 'registration.signUp', false],
  ['AUTO_CONFIRM_EMAIL', 'on', 'registration.autoConfirmEmail', true],
  ['AUDIT_RETENTION', 'off', 'auditRetention', undefined],
  ['ACCESS_TOKEN_LIFETIME', '86400', 'accessTokenLifetime', 86_400],
  ['REFRESH_REUSE_INTERVAL', '0', 'refreshReuseInterval', 0],
  ['SHUTDOWN_DELAY', '90', 'shutdownDelay', 90],
  ['SHUTDOWN_GRACE', '10m', 'shutdownGrace', 600],
  ['CLOCK_OFFSET', '-90', 'clockOffset', -90],
  ['BIND_ADDRESS', '::1', 'host', '::1'],
  ['BIND_ADDRESS', '127.1.2.3', 'host', '127.1.2.3'],
  ['BIND_ADDRESS', '::ffff:127.0.0.1', 'host', '::ffff:127.0.0.1'],
  ['DEV_EXPOSE', 'yes', 'host', allAddresses()],
  [
    'LIMITS',
    '*=off,AuthService.SignIn=10,AuthService.SignIn:success=30,SessionService.Refresh:session=1000000',
    'limits',
    {
      '*': 'off',
      'AuthService.SignIn': 10,
      'AuthService.SignIn:success': 30,
      'SessionService.Refresh:session': 1_000_000,
    },
  ],
])('%s=%s becomes %s', (name, text, field, value) => {
  expect(read({ [name]: text })).toHaveProperty(field, value);
});

test.each([
  ['NODE_ENV', ['prod', 'Production', ' production']],
  ['DATA_DIR', ['a\0b']],
  ['GRPC_PORT', ['abc', '-1', '65536', '80.5', '1e3', '0x50', '08080', ' 80', '9'.repeat(400)]],
  ['ADMIN_PORT', ['on', 'OFF', '-1', '65536', '80.5', '09090', ' 80']],
  ['WORKERS', ['0', '65', '1.5']],
  ['DATABASE_POOL_SIZE', ['0', '501']],
  ['DATABASE_STATEMENT_TIMEOUT', ['0', '61m', '5 s', '100ms', '1.5s', '-1s', 's']],
  [
    'DATABASE_URL',
    ['mysql://h/d', 'h:5432/d', 'postgres://', 'postgres://u:p#q@h/d', 'postgres://u:p q@h/d', 'postgres://u:%@h/d'],
  ],
  ['BIND_ADDRESS', ['localhost', '0.0.0.0', '::', '10.0.0.1', '::ffff:10.0.0.1', 'fe80::1%eth0', '127.0.0.1:80']],
  ['DEV_EXPOSE', ['true', 'on', 'YES']],
  ['PUBLIC_URL', ['auth.example', 'ftp://a', 'https://a/b', 'https://a?b', 'https://a#b', 'https://u:p@a', 'https:a']],
  [
    'CORS_ORIGINS',
    ['*', 'null', 'https://*.a', 'https://a/', 'https://A', 'https://a:443', 'https://a:99999', 'a', 'https://a,'],
  ],
  ['TRUSTED_PROXY_HOPS', ['11', 'all']],
  ['ACCESS_TOKEN_LIFETIME', ['abc', '0', '-5', '1.5', '1e3', '86401', '60m']],
  ['REFRESH_REUSE_INTERVAL', ['61', '10s']],
  ['SESSION_LIFETIME_WEB', ['7d', '30d/7d', '0/7d', '7d/3651d', '7d/30d/90d', '/', '7d/']],
  ['PASSWORD_MIN_LENGTH', ['5', '65']],
  [
    'PASSWORD_HASH_COST',
    ['m=19456', 'm=15,t=1,p=2', 'm=1048577,t=1,p=1', 'm=99,t=0,p=1', 'm=99,t=21,p=1', 'm=999,t=1,p=17', 'm=9,t=1,p=0'],
  ],
  ['HASH_CONCURRENCY', ['0', '65']],
  ['HASH_QUEUE', ['10001']],
  ['SIGN_UP', ['yes', 'true']],
  [
    'LIMITS',
    ['SignIn=5', 'AuthService.SignIn', '*=0', '*=1000001', '*=of', '*=1,*=2', '*:session=1', 'AuthService.SignIn:ip=1'],
  ],
  ['MAX_IN_FLIGHT', ['0', '100001']],
  ['LOG_LEVEL', ['verbose']],
])('%s refuses %j', (name, texts) => {
  for (const text of texts) expect({ [text]: faulty({ [name]: text }) }).toEqual({ [text]: [name] });
});

test('all faults are reported together, each with the value found, the allowed values and an example', () => {
  const thrown = faultsOf({ GRPC_PORT: 'abc', SIGN_UP: 'maybe', ...production, DEV_EXPOSE: 'yes' });
  expect(thrown.faults).toEqual([
    {
      variable: 'GRPC_PORT',
      found: '"abc": not a whole number',
      allowed: 'a whole number from 0 to 65535',
      example: 'GRPC_PORT=50051',
    },
    {
      variable: 'DEV_EXPOSE',
      found: '"yes": a shortcut for development',
      allowed: 'no, in production; BIND_ADDRESS says where to listen',
      example: 'DEV_EXPOSE=no',
    },
    { variable: 'SIGN_UP', found: '"maybe": neither on nor off', allowed: 'on or off', example: 'SIGN_UP=off' },
  ]);
  for (const fault of thrown.faults) for (const part of Object.values(fault)) expect(thrown.message).toContain(part);
});

test('a fault stays on one line, whatever the value contains', () => {
  const [fault] = faultsOf({ PUBLIC_URL: `https://ada:hunter2@a/\n\u001b[31m\u2028\u009b${'x'.repeat(900)}` }).faults;
  expect(fault?.found).toMatch(/^[ -~]{1,200}$/);
  expect(fault?.found).not.toContain('hunter2');
});

test('the two servers need different ports, unless a port is 0', () => {
  expect(faulty({ GRPC_PORT: '8080' })).toEqual(['HTTP_PORT']);
  expect(faulty({ GRPC_PORT: '9000', HTTP_PORT: '9000' })).toEqual(['HTTP_PORT']);
  expect(read({ GRPC_PORT: '0', HTTP_PORT: '0' })).toMatchObject({ grpcPort: 0, httpPort: 0 });
});

test('the admin port differs from the other two, unless it is 0 or off', () => {
  expect(faulty({ ADMIN_PORT: '50051' })).toEqual(['ADMIN_PORT']);
  expect(faulty({ ADMIN_PORT: '8080' })).toEqual(['ADMIN_PORT']);
  expect(faulty({ HTTP_PORT: '9090' })).toEqual(['ADMIN_PORT']);
  const all = { GRPC_PORT: '0', HTTP_PORT: '0', ADMIN_PORT: '0' };
  expect(read(all)).toMatchObject({ grpcPort: 0, httpPort: 0, adminPort: 0 });
  expect(read({ HTTP_PORT: '9090', ADMIN_PORT: 'off' }).adminPort).toBeUndefined();
});

describe('traces', () => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };

  test.each<[env: Record<string, string>, serviceName: string | undefined]>([
    [endpoint, 'gatehouse'],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }, 'gatehouse'],
    [{ OTEL_TRACES_EXPORTER: 'console', OTEL_RESOURCE_ATTRIBUTES: 'service.namespace=a' }, 'gatehouse'],
    [{ ...endpoint, OTEL_SERVICE_NAME: 'auth' }, undefined],
    [{ ...endpoint, OTEL_RESOURCE_ATTRIBUTES: 'a=b,service.name=auth' }, undefined],
  ])('are exported with %j, under the name gatehouse unless another is set', (env, serviceName) => {
    expect(readConfig(env)).toMatchObject({ config: { traces: { serviceName } }, notices: [] });
  });

  test.each<Record<string, string>>([
    { OTEL_SERVICE_NAME: 'auth' },
    { ...endpoint, OTEL_SDK_DISABLED: 'true' },
    { ...endpoint, OTEL_TRACES_EXPORTER: 'none' },
    { OTEL_EXPORTER_OTLP_ENDPOINT: '' },
  ])('are not exported with %j', (env) => {
    expect(read(env).traces).toBeUndefined();
  });
});

test('DEV_EXPOSE=yes allows an address beyond loopback', () => {
  expect(read({ DEV_EXPOSE: 'yes', BIND_ADDRESS: '10.0.0.1' }).host).toBe('10.0.0.1');
});

describe('a misspelt name', () => {
  test.each([
    ['GRCP_PORT', 'GRPC_PORT'],
    ['grpc_port', 'GRPC_PORT'],
    ['GrpcPort', 'GRPC_PORT'],
    ['GRPC_PORTS', 'GRPC_PORT'],
    ['LOGLEVEL', 'LOG_LEVEL'],
    ['MASTER_KEY', 'MASTER_KEYS'],
    ['MASTER_KEY_FILE', 'MASTER_KEYS_FILE'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['LIMIT', 'LIMITS'],
    ['LIMTIS', 'LIMITS'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['ACESS_TOKEN_LIFTIME', 'ACCESS_TOKEN_LIFETIME'],
  ])('%s causes a notice', (written, meant) => {
    expect(readConfig({ [written]: '1' }).notices).toEqual([`${written} is not a setting; did you mean ${meant}?`]);
  });

  test.each([
    'PATH HOME HOST HOSTNAME PORT PWD SHELL USER LANG TERM TMPDIR EDITOR DISPLAY MAIL LOGNAME SHLVL TZ CI DEBUG',
    'HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy HTTP_HOST HTTPS_PORT GRPC_HOST SMTP_PORT TCP_PORT FTP_PORT',
    'NODE_OPTIONS NODE_PATH NODE_NO_WARNINGS NODE_EXTRA_CA_CERTS npm_config_cache npm_package_name npm_lifecycle_event',
    'LOG_FILE LOG_FORMAT LOG_DIR LOG_PATH PGHOST PGPORT PGUSER PGDATA DB_URL REDIS_URL BASE_URL DIGITS LISTS SIGNER',
    'KUBERNETES_PORT KUBERNETES_SERVICE_PORT GATEHOUSE_PORT VITEST VITEST_MODE MODE DEV PROD SSR TEST',
  ])('%s causes no notice', (names) => {
    expect(readConfig(Object.fromEntries(names.split(' ').map((name) => [name, 'x']))).notices).toEqual([]);
  });

  test('a name cannot forge a line of the log', () => {
    expect(readConfig({ 'GRPC_POR\n': 'x' }).notices).toEqual([]);
  });
});
