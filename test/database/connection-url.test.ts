import { describe, expect, test } from 'vitest';
import { parseConnectionUrl } from '../../src/database/connection-url.ts';

const faultOf = (url: string): string => {
  try {
    parseConnectionUrl(url);
  } catch (error) {
    return (error as Error).message;
  }
  return 'valid';
};

describe('the hosts of a connection URL', () => {
  test.each<[url: string, hosts: [string, number][]]>([
    ['postgres://db/x', [['db', 5432]]],
    ['postgresql://u:p@db:6543/x', [['db', 6543]]],
    ['postgres://u@[::1]/x', [['::1', 5432]]],
    ['postgres://u@[2001:db8::5]:6000/x', [['2001:db8::5', 6000]]],
    ['postgres://u@[fe80::1%25eth0]:6000/x', [['fe80::1%eth0', 6000]]],
    [
      'postgres://u@a,b:2,[::1]:3/x',
      [
        ['a', 5432],
        ['b', 2],
        ['::1', 3],
      ],
    ],
    ['postgres://u@%2Fvar%2Frun%2Fpostgresql:5433/x', [['/var/run/postgresql', 5433]]],
    ['postgres:///x?host=/var/run/postgresql', [['/var/run/postgresql', 5432]]],
    ['postgres://u@localhost/x?host=/cloudsql/p:r:i', [['/cloudsql/p:r:i', 5432]]],
    [
      'postgres://u@/x?host=a,b&port=1,2',
      [
        ['a', 1],
        ['b', 2],
      ],
    ],
    [
      'postgres://u@a,b/x?port=7',
      [
        ['a', 7],
        ['b', 7],
      ],
    ],
    ['postgres://u@/x', [['localhost', 5432]]],
    ['postgres://u@db.internal./x', [['db.internal.', 5432]]],
  ])('%s', (url, hosts) => {
    expect(parseConnectionUrl(url).hosts.map(({ host, port }) => [host, port])).toEqual(hosts);
  });
});

test('user, password and database are percent-decoded', () => {
  expect(parseConnectionUrl('postgres://a%40b:p%25%2F%3F%23%3A%20ä@db/n%2Fm')).toMatchObject({
    user: 'a@b',
    password: 'p%/?#: ä',
    database: 'n/m',
  });
  expect(parseConnectionUrl('postgres://u:p:q@db')).toMatchObject({ user: 'u', password: 'p:q', database: 'u' });
});

test('the parameters are those of libpq', () => {
  const files = 'sslrootcert=/etc/hostname&sslcert=/etc/hostname&sslkey=/etc/hostname';
  const rest = 'channel_binding=require&application_name=a%20b&connect_timeout=10&options=endpoint%3Dep-1';
  const keepAlive = 'keepalives=1&keepalives_idle=60&keepalives_interval=5&keepalives_count=4';
  const url = `postgres://u@db/x?sslmode=verify-full&${files}&${rest}&${keepAlive}&target_session_attrs=read-write`;
  expect(parseConnectionUrl(url)).toMatchObject({
    tls: { mode: 'verify-full', rootCert: '/etc/hostname', cert: '/etc/hostname', key: '/etc/hostname' },
    ...{ channelBinding: 'require', applicationName: 'a b', connectTimeout: 10, options: 'endpoint=ep-1' },
    keepAlive: { enabled: true, idle: 60, interval: 5, count: 4 },
  });
  expect(parseConnectionUrl('postgres://u@db/x?keepalives=0&connect_timeout=0')).toMatchObject({
    tls: { mode: undefined },
    connectTimeout: undefined,
    keepAlive: { enabled: false },
  });
});

describe('refused with the reason and without any value', () => {
  test.each<[rest: string, message: RegExp]>([
    ['?schema=secret', /parameter schema is not supported: use options=-c%20search_path/],
    ['?pgbouncer=true', /parameter pgbouncer is not supported/],
    ['?sslpassword=secret', /parameter sslpassword is not supported/],
    ['?gssencmode=disable', /parameter gssencmode is not supported/],
    ['?user=secret', /parameter user is not supported: write the user before the @/],
    ['?hostaddr=10.0.0.1', /parameter hostaddr is not supported/],
    ['?statement_timeout=secret', /use DATABASE_STATEMENT_TIMEOUT/],
    ['?options=-c%20statement_timeout%3D0', /options must not set statement_timeout/],
    ['?options=--lock-timeout%3D0', /options must not set lock_timeout/],
    ['?options=-cDateStyle%3DGerman', /options must not set datestyle/],
    ['?sslmode=verify_full', /sslmode must be one of disable, allow/],
    ['?sslmode=', /sslmode must be one of/],
    ['?sslmode', /sslmode has no value/],
    ['?sslmode=require&sslmode=disable', /sslmode is there twice/],
    ['?sslmode=verify-ca', /verify-ca needs sslrootcert/],
    ['?sslmode=require&sslrootcert=/nowhere/secret.pem', /file of sslrootcert cannot be read \(ENOENT\)/],
    ['?sslrootcert=system', /needs sslmode=verify-full/],
    ['?sslmode=require&sslcert=/etc/hostname', /belong together/],
    ['?channel_binding=require', /needs sslmode=require/],
    ['?channel_binding=always', /channel_binding must be one of/],
    ['?target_session_attrs=standby', /target_session_attrs must be one of any, read-write, primary/],
    ['?connect_timeout=secret', /connect_timeout is not a whole number/],
    ['?keepalives=2', /keepalives is not a whole number from 0 to 1/],
    ['?port=0', /port is not a whole number/],
    ['?port=1,2', /another number of entries/],
    ['?application_name=%', /application_name contains a % that encodes no character/],
    ['?=secret', /no valid name/],
    ['?host=/tmp&sslmode=require', /Unix socket has no TLS/],
  ])('%s', (rest, message) => {
    expect(faultOf(`postgres://u:secret@db/x${rest}`)).toMatch(message);
    expect(faultOf(`postgres://u:secret@db/x${rest}`)).not.toContain('secret');
  });

  test.each<[url: string, message: RegExp]>([
    ['postgres://u:100%@db/x', /password contains a % .*%25/],
    ['postgres://u:%zz@db/x', /password contains a %/],
    ['postgres://u:%ff@db/x', /password contains a %/],
    ['postgres://u%00:p@db/x', /user contains a %/],
    ['postgres://%:p@db/x', /user contains a %/],
    ['postgres://u:p@db/100%', /database contains a %/],
    ['postgres://u:p?q@db/x', /encoded as %3F/],
    ['postgres://u:p#q@db/x', /percent-encode/],
    ['postgres://u:p q@db/x', /percent-encode/],
    ['postgres://u:p/q@db/x', /port/],
    ['postgres://u:p@db:70000/x', /port/],
    ['postgres://u:p@db:x/x', /port/],
    ['postgres://u:p@::1/x', /host/],
    ['postgres://u:p@[db]/x', /no IPv6 address/],
    ['postgres://u:p@[::1/x', /host/],
    ['mysql://u:p@db/x', /does not begin with postgres/],
    ['postgres://', /without a host/],
  ])('%s', (url, message) => {
    expect(faultOf(url)).toMatch(message);
  });
});
