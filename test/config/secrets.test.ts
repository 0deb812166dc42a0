import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigFaults, readConfig } from '../../src/config/config.ts';
import { describeSettings } from '../../src/config/help.ts';
import {
  digest,
  faultsOf,
  faulty,
  key,
  mountCertificates,
  production,
  read,
  writeSecret,
} from '../support/config-fixtures.ts';

const weakKey = (bytes: Buffer | string) => `weak:${Buffer.from(bytes as string).toString('base64')}`;

describe('secrets', () => {
  test('master keys keep their order, the active one first', () => {
    const [second, first] = [key('2026-11'), key('2025_01')];
    const keys = read({ MASTER_KEYS: `${second}, ${first}` }).masterKeys;
    expect(keys.map(({ id, key }) => `${id}:${key.toString('base64')}`)).toEqual([second, first]);
  });

  const same = key('a');
  test.each([
    ['no id', randomBytes(32).toString('base64')],
    ['a bad id', `A${key('b')}`],
    ['a long id', key('a'.repeat(17))],
    ['31 bytes', `a:${randomBytes(31).toString('base64')}`],
    ['33 bytes', `a:${randomBytes(33).toString('base64')}`],
    ['base64 without its padding', key('a').replace('=', '')],
    ['an empty entry', `${same},`],
    ['one id twice', `${key('a')},${key('a')}`],
    ['one key twice', `${same},${same.replace('a:', 'b:')}`],
    ['equal bytes', weakKey(Buffer.alloc(32, 0xa5))],
    ['seven different bytes', weakKey(Buffer.from(Array.from({ length: 32 }, (_, i) => (i * 3) % 7)))],
    ['a repeated word', weakKey('changeme'.repeat(4))],
    ['typed characters', weakKey('correct horse battery staple 123')],
    ['bytes that count', weakKey(Buffer.from(Array.from({ length: 32 }, (_, i) => (i + 240) & 255)))],
    ['one half twice', weakKey(Buffer.concat(Array(2).fill(randomBytes(16))))],
  ])('master keys with %s are refused', (_, text) => {
    expect(faulty({ MASTER_KEYS: text })).toEqual(['MASTER_KEYS']);
  });

  test('random master keys are never refused as guessable', () => {
    for (let i = 0; i < 500; i++) expect(() => readConfig({ MASTER_KEYS: key('a') })).not.toThrow();
  });

  test('service keys are names and digests', () => {
    const text = `billing:${digest('ghs_1')},web-api:${digest('ghs_2').toUpperCase()}`;
    const keys = read({ SERVICE_KEYS: text }).serviceKeys;
    expect(keys.map(({ name, digest }) => [name, digest.toString('hex')])).toEqual([
      ['billing', digest('ghs_1')],
      ['web-api', digest('ghs_2')],
    ]);
  });

  test('service keys may have scopes', () => {
    const one = `billing:${digest('ghs_1')}:AccountService`;
    const two = `orders:${digest('ghs_2').toUpperCase()}:SessionService.Introspect+AccountService.ConsumeUsage`;
    const keys = read({ SERVICE_KEYS: `${one},${two},all:${digest('ghs_3')}` }).serviceKeys;
    expect(keys.map(({ name, scopes }) => [name, scopes])).toEqual([
      ['billing', ['AccountService']],
      ['orders', ['SessionService.Introspect', 'AccountService.ConsumeUsage']],
      ['all', undefined],
    ]);
    expect(keys[1]?.digest.toString('hex')).toBe(digest('ghs_2'));
  });

  test.each([
    ['SessionService.Introspekt', 'did you mean SessionService.Introspect?'],
    ['sessionservice.introspect', 'did you mean SessionService.Introspect?'],
    ['gatehouse.v1.SessionService/Introspect', 'did you mean SessionService.Introspect?'],
    ['Session.Introspect', 'did you mean SessionService.Introspect?'],
    ['Introspect', 'did you mean SessionService.Introspect?'],
    ['Account', 'did you mean AccountService?'],
    ['SessionService.Inspect', 'SessionService has Refresh, SignOut, ListSessions'],
    ['*', 'the services are AuthService, SessionService, AccountService, DeviceService, MfaService, AdminService'],
    ['', 'the services are AuthService'],
    ['SessionService+', 'scope 2 is no service or Service.Method of the contract'],
    [' SessionService', 'did you mean SessionService?'],
    ['SessionService+SessionService', 'a scope stands there twice'],
    ['ghs_HuSh7', 'the services are AuthService'],
  ])('a service key with the scope %j is refused, with a suggestion', (scope, sentence) => {
    const { faults } = faultsOf({ SERVICE_KEYS: `billing:${digest('ghs_1')}:${scope}` });
    expect(faults).toMatchObject([{ variable: 'SERVICE_KEYS', found: expect.stringContaining(sentence) }]);
    expect(faults[0]?.found).not.toContain('HuSh7');
  });

  test('backends without scopes are allowed in production, with a notice that names them', () => {
    const { tls } = mountCertificates();
    const backends = {
      SERVICE_KEYS: `a:${digest('ghs_1')},b:${digest('ghs_2')}:AuthService,c:${digest('ghs_3')}`,
      SERVICE_CERTIFICATES: 'd.internal,e.internal:AdminService',
    };
    const env = { ...production, ...tls, DATABASE_URL: 'postgresql://u:p@db/gatehouse?sslmode=require' };
    expect(readConfig({ ...env, ...backends }).notices).toEqual([
      expect.stringMatching(/^SERVICE_KEYS has no scopes for a, c: /),
      expect.stringMatching(/^SERVICE_CERTIFICATES has no scopes for d.internal: /),
    ]);
    expect(readConfig({ ...tls, ...backends }).notices, 'outside production').toEqual([]);
  });

  test.each([
    ['no name', digest('ghs_1')],
    ['two lists of scopes', `billing:${digest('ghs_1')}:AuthService:AdminService`],
    ['a long name', `${'a'.repeat(65)}:${digest('ghs_1')}`],
    ['the key itself', 'billing:ghs_1'],
    ['one name twice', `a:${digest('ghs_1')},a:${digest('ghs_2')}`],
    ['one digest twice', `a:${digest('ghs_1')},b:${digest('ghs_1')}`],
    ...['', 'changeme', 'secret', 'password', 'test', 'admin', 'gatehouse', 'changeme\n'].map((word) => [
      `the digest of ${JSON.stringify(word)}`,
      `billing:${digest(word)}`,
    ]),
  ])('service keys with %s are refused', (_, text = '') => {
    expect(faulty({ SERVICE_KEYS: text })).toEqual(['SERVICE_KEYS']);
  });

  test('webhook secrets have the form of Standard Webhooks', () => {
    const secrets = [randomBytes(24), randomBytes(64)];
    const text = secrets.map((each) => `whsec_${each.toString('base64')}`).join(', ');
    expect(read({ BILLING_WEBHOOK_SECRETS: text }).billingSecrets).toEqual(secrets);
    expect(read({}).billingSecrets).toEqual([]);
  });

  test.each([
    ['no prefix', randomBytes(32).toString('base64')],
    ['23 bytes', `whsec_${randomBytes(23).toString('base64')}`],
    ['65 bytes', `whsec_${randomBytes(65).toString('base64')}`],
    ['typed characters', `whsec_${Buffer.from('correct horse battery staple').toString('base64')}`],
    ['no base64', `whsec_${'-'.repeat(43)}=`],
    [
      'one twice',
      Array(2)
        .fill(`whsec_${Buffer.alloc(32, same).toString('base64')}`)
        .join(','),
    ],
  ])('webhook secrets with %s are refused', (_, text) => {
    expect(faulty({ BILLING_WEBHOOK_SECRETS: text })).toEqual(['BILLING_WEBHOOK_SECRETS']);
  });

  test('a master key cannot be the pepper, because one secret has one purpose', () => {
    const master = key('first');
    expect(faulty({ MASTER_KEYS: master, PASSWORD_PEPPER: master.replace('first', 'p') })).toEqual(['PASSWORD_PEPPER']);
    expect(read({ MASTER_KEYS: master, PASSWORD_PEPPER: key('p') }).passwords.peppers[0]?.id).toBe('p');
    expect(faulty({ PASSWORD_PEPPER: weakKey('changeme'.repeat(4)) })).toEqual(['PASSWORD_PEPPER']);
  });

  test.each([
    ['DATABASE_URL', 'postgres://u:p@db/gatehouse'],
    ['MASTER_KEYS', key('first')],
    ['SERVICE_KEYS', `billing:${digest('ghs_1')}`],
    ['PASSWORD_PEPPER', key('p')],
  ])('%s may be in a file, followed by one newline', (name, text) => {
    for (const end of ['', '\n', '\r\n'])
      expect(read({ [`${name}_FILE`]: writeSecret(text + end) })).toEqual(read({ [name]: text }));
  });

  test('a variable and its _FILE together are refused', () => {
    const file = writeSecret(key('first'));
    expect(faulty({ MASTER_KEYS: key('first'), MASTER_KEYS_FILE: file })).toEqual(['MASTER_KEYS']);
  });

  test.each([
    ['does not exist', '/nowhere/at-all', /"\/nowhere\/at-all": cannot be read \(ENOENT\)/],
    ['is a directory', tmpdir(), /cannot be read \(EISDIR\)/],
    ['is no path', 'a\0b', /cannot be read/],
  ])('a secret file that %s is refused, and its path is named', (_, path, message) => {
    expect(faultsOf({ DATABASE_URL_FILE: path }).message).toMatch(message);
  });

  test('an empty secret file is refused, not ignored', () => {
    expect(faulty({ DATABASE_URL_FILE: writeSecret('\n') })).toEqual(['DATABASE_URL_FILE']);
  });
});

describe('a secret is never printed', () => {
  const hush = 'HuSh7';
  const around = fc.tuple(fc.string(), fc.string()).map(([before, after]) => before + hush + after);
  const shaped = fc.oneof(
    around,
    around.map((text) => `first:${text}`),
    around.map((text) => `postgres://ada:${text}@db:99999999/x`),
    around.map((text) => `a:${Buffer.from(text).toString('base64')}${hush},b:${hush}`),
  );
  const secrets = describeSettings().filter(({ secret }) => secret);
  const names = describeSettings().map(({ name }) => name);
  const sometimes = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
  const environments = fc.record({
    ...Object.fromEntries(names.map((name) => [name, sometimes(fc.string({ unit: 'binary' }))])),
    NODE_ENV: fc.constantFrom('development', 'test', 'production', 'x', undefined),
    ...Object.fromEntries(secrets.map(({ name }) => [name, sometimes(shaped)])),
    ...Object.fromEntries(secrets.map(({ name }) => [`${name}_FILE`, sometimes(shaped.map((text) => `x:${text}`))])),
  });

  test('with any values of the variables together, no message contains a part of a secret', () => {
    const check = (env: Record<string, string | undefined>) => {
      try {
        expect(readConfig(env).notices.join()).not.toContain(hush);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(ConfigFaults);
        expect(JSON.stringify([(thrown as ConfigFaults).faults, String(thrown)])).not.toContain(hush);
      }
    };
    fc.assert(fc.property(environments, check), { numRuns: 500 });
  });

  test('with any value of one setting', () => {
    const check = (name: string, text: string) => {
      try {
        readConfig({ [name]: text });
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(ConfigFaults);
      }
    };
    fc.assert(fc.property(fc.constantFrom(...names), fc.string({ unit: 'binary' }), check), { numRuns: 1000 });
  });

  test('when it is in a file', () => {
    const { message } = faultsOf({ MASTER_KEYS_FILE: writeSecret(`first:${hush}`) });
    expect(message).toContain('MASTER_KEYS\n');
    expect(message).not.toContain(hush);
  });
});
