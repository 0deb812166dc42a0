import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultsOf, faulty, mountCertificates, read, writeSecret } from '../support/config-fixtures.ts';

const file = (name: string) => join(import.meta.dirname, '../support/certificates', name);
const pair = { TLS_CERT: file('server.pem'), TLS_KEY: file('server.key') };
const mutual = { ...pair, TLS_CLIENT_CA: file('authority.pem') };

test('a certificate with its key enables TLS, and the public URL is https', () => {
  const tls = { cert: pair.TLS_CERT, key: pair.TLS_KEY, clientCa: undefined };
  expect(read(pair)).toMatchObject({ tls, publicUrl: 'https://localhost:8080' });
  expect(read({ ...pair, PUBLIC_URL: 'http://auth.example' }).publicUrl).toBe('http://auth.example');
});

test('client certificates are required when an authority is configured, unless they are optional', () => {
  const { tls } = mountCertificates();
  expect(read(tls).tls).toMatchObject({ clientCa: tls.TLS_CLIENT_CA, requireClientCertificates: true });
  expect(read({ ...tls, CLIENT_CERTIFICATES: 'required' }).tls?.requireClientCertificates).toBe(true);
  expect(read({ ...tls, CLIENT_CERTIFICATES: 'optional' }).tls?.requireClientCertificates).toBe(false);
});

test('the names of backends keep their order and their case', () => {
  const names = ['orders.internal', 'spiffe://example.com/ns/a/sa/Billing', 'legacy-backend'];
  expect(read({ ...mutual, SERVICE_CERTIFICATES: names.join(', ') }).serviceCertificates).toEqual(
    names.map((name) => ({ name })),
  );
});

test.each([
  ['orders.internal:SessionService.Introspect', 'orders.internal', ['SessionService.Introspect']],
  ['spiffe://example.com/a:AdminService+AccountService', 'spiffe://example.com/a', ['AdminService', 'AccountService']],
  ['https://example.com:8443', 'https://example.com:8443', undefined],
  ['https://example.com:8443/a', 'https://example.com:8443/a', undefined],
  ['https://[2001:db8::1]', 'https://[2001:db8::1]', undefined],
  ['https://[2001:db8::1]:8443:AuthService', 'https://[2001:db8::1]:8443', ['AuthService']],
])('%s is a name of a backend with its scopes', (text, name, scopes) => {
  const expected = scopes ? { name, scopes } : { name };
  expect(read({ ...mutual, SERVICE_CERTIFICATES: text }).serviceCertificates).toEqual([expected]);
});

test.each([
  ['a wildcard', '*.internal'],
  ['an empty entry', 'a,'],
  ['a space within', 'a b'],
  ['a quote', 'a"b'],
  ['a letter beyond ASCII', 'bücher.internal'],
  ['65 characters', 'a'.repeat(65)],
  ['one name twice', 'a,b,a'],
  ['one name twice, with other scopes', 'a:AuthService,a:AdminService'],
  ['an unknown scope', 'a:SessionService.Introspekt'],
  ['an empty scope', 'a:'],
  ['an empty scope behind a URI', 'spiffe://example.com/a:'],
  ['a scope without a name', ':AuthService'],
])('names of backends with %s are refused', (_, names) => {
  expect(faulty({ ...mutual, SERVICE_CERTIFICATES: names })).toEqual(['SERVICE_CERTIFICATES']);
});

test.each<[what: string, env: Record<string, string>, variables: string[]]>([
  ['a certificate without its key', { TLS_CERT: pair.TLS_CERT }, ['TLS_KEY']],
  ['a key without its certificate', { TLS_KEY: pair.TLS_KEY }, ['TLS_CERT']],
  ['authorities without a certificate of our own', { TLS_CLIENT_CA: mutual.TLS_CLIENT_CA }, ['TLS_CLIENT_CA']],
  [
    'backends by their certificates where nobody is asked for one',
    { ...pair, CLIENT_CERTIFICATES: 'required', SERVICE_CERTIFICATES: 'a' },
    ['CLIENT_CERTIFICATES', 'SERVICE_CERTIFICATES'],
  ],
  ['an unknown way to ask', { ...mutual, CLIENT_CERTIFICATES: 'yes' }, ['CLIENT_CERTIFICATES']],
])('%s is refused', (_, env, variables) => {
  expect(faulty(env)).toEqual(variables);
});

describe('an unusable file is a fault with its path, the allowed content and an example', () => {
  const half = () => writeSecret(readFileSync(pair.TLS_CERT, 'utf8').slice(0, 300));
  const garbled = () => writeSecret('-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n');
  const encrypted = () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const options = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' } as const;
    return writeSecret(`${privateKey.export(options)}`);
  };

  test.each<[what: string, env: () => Record<string, string>, variable: string, why: string]>([
    ['does not exist', () => ({ ...pair, TLS_CERT: '/nowhere' }), 'TLS_CERT', 'cannot be read (ENOENT)'],
    ['is a directory', () => ({ ...pair, TLS_KEY: '/' }), 'TLS_KEY', 'cannot be read (EISDIR)'],
    ['is a key', () => ({ ...pair, TLS_CERT: pair.TLS_KEY }), 'TLS_CERT', 'holds no certificate in PEM'],
    ['is a certificate', () => ({ ...pair, TLS_KEY: pair.TLS_CERT }), 'TLS_KEY', 'holds no private key in PEM'],
    ['is cut off', () => ({ ...pair, TLS_CERT: half() }), 'TLS_CERT', 'ends within a certificate'],
    [
      'is garbled',
      () => ({ ...mutual, TLS_CLIENT_CA: garbled() }),
      'TLS_CLIENT_CA',
      'certificate 1 of 1 cannot be read',
    ],
    ['is encrypted', () => ({ ...pair, TLS_KEY: encrypted() }), 'TLS_KEY', 'is encrypted'],
    [
      'is of another key',
      () => ({ ...pair, TLS_KEY: file('renewed.key') }),
      'TLS_KEY',
      'not the key of the certificate',
    ],
  ])('it %s', (_, make, variable, why) => {
    const env = make();
    expect(faultsOf(env).faults).toEqual([
      {
        variable,
        found: expect.stringMatching(new RegExp(`^"${env[variable]}": .*${why.replace(/[()]/g, '\\$&')}`)),
        allowed: expect.stringMatching(/^the path of /),
        example: expect.stringContaining(`${variable}=/run/tls/`),
      },
    ]);
  });

  test('a key given instead of its path is not printed', () => {
    const key = readFileSync(pair.TLS_KEY, 'utf8');
    const { message } = faultsOf({ ...pair, TLS_KEY: key });
    expect(message).toContain('"-----BEGIN ***": cannot be read');
    expect(message).not.toContain(key.split('\n')[1]!.slice(0, 8));
  });
});
