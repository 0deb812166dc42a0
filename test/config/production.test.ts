import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { allAddresses } from '../../src/config/network.ts';
import { projectSettingReader } from '../../src/config/project-settings.ts';
import { faultsOf, faulty, key, production, read } from '../support/config-fixtures.ts';

describe('in production', () => {
  test('the defaults are those of a service behind a proxy', () => {
    const DATABASE_URL = 'postgresql://u:p@db/gatehouse?sslmode=verify-full';
    const { config, notices } = readConfig({ ...production, DATABASE_URL });
    expect(notices).toEqual([]);
    expect(config).toMatchObject({ host: allAddresses(), reflection: false, shutdownDelay: 5, serviceKeys: [] });
    expect(config.publicUrl).toBe('https://auth.example.com');
    expect(read({ ...production, BIND_ADDRESS: '10.0.0.1' }).host).toBe('10.0.0.1');
  });

  test('the pages of a project are https, as those of the configuration are', () => {
    const read = projectSettingReader({ environment: 'production' });
    for (const name of ['SITE_URL', 'FRONTEND_URL'] as const) {
      expect(read(name, 'http://app.example.com')).toEqual({ fault: 'not https, and tokens are sent there' });
      expect(read(name, 'https://app.example.com')).toHaveProperty('value');
      expect(projectSettingReader({ environment: 'development' })(name, 'http://localhost:3000')).toHaveProperty(
        'value',
      );
    }
  });

  test('the embedded database is allowed, with a notice about its limits', () => {
    expect(readConfig(production).notices).toEqual([expect.stringContaining('DATABASE_URL is not set')]);
  });

  test('master keys and a public URL are required, and a misspelt name is reported with the fault', () => {
    const thrown = faultsOf({ NODE_ENV: 'production', MASTER_KEY: key('first') });
    expect(thrown.faults.map(({ variable }) => variable)).toEqual(['PUBLIC_URL', 'MASTER_KEYS', 'SMTP_URL']);
    expect(thrown.message).toContain('MASTER_KEY is not a setting; did you mean MASTER_KEYS?');
  });

  test.each([
    ['PUBLIC_URL', 'http://auth.example.com'],
    ['DEV_EXPOSE', 'yes'],
    ['CLOCK_OFFSET', '1'],
    ['PASSWORD_HASH_COST', 'm=47103,t=1,p=1'],
    ['PASSWORD_HASH_COST', 'm=19455,t=2,p=1'],
    ['PASSWORD_HASH_COST', 'm=12287,t=3,p=1'],
    ['PASSWORD_HASH_COST', 'm=12287,t=20,p=1'],
  ])('%s=%s is refused, but allowed outside production', (name, text) => {
    expect(faulty({ ...production, [name]: text })).toEqual([name]);
    expect(() => readConfig({ [name]: text })).not.toThrow();
  });

  test.each(['m=47104,t=1,p=1', 'm=19456,t=2,p=1', 'm=12288,t=3,p=1'])('the OWASP minimum %s is allowed', (cost) => {
    expect(() => readConfig({ ...production, PASSWORD_HASH_COST: cost })).not.toThrow();
  });
});
