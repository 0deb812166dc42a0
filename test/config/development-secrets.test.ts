import { execFile } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ConfigFaults, loadConfig } from '../../src/config/config.ts';
import { describeSettings } from '../../src/config/help.ts';
import { digest, type Environment, key, makeDirectory, production, writeSecret } from '../support/config-fixtures.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('development secrets', () => {
  const digestIn = (file: string) => digest(readFileSync(file, 'utf8').trim());

  function load(dataDir: string, env: Environment = {}) {
    const cleared = describeSettings().flatMap(({ name }) => [name, `${name}_FILE`]);
    for (const name of cleared) vi.stubEnv(name, '');
    for (const [name, text] of Object.entries({ DATA_DIR: dataDir, ...env })) vi.stubEnv(name, text);
    return loadConfig();
  }

  test('are generated once, readable by their owner only, and every start says so', () => {
    const dataDir = join(makeDirectory(), 'deep', 'data');
    const first = load(dataDir);
    expect(first.notices).toEqual([
      expect.stringMatching(/^GENERATED .*\/master-key: .* Production refuses to start without MASTER_KEYS\.$/),
      expect.stringMatching(/^GENERATED .*\/service-key: /),
    ]);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dataDir).sort()).toEqual(['master-key', 'service-key']);
    for (const file of ['master-key', 'service-key']) expect(statSync(join(dataDir, file)).mode & 0o777).toBe(0o600);
    const second = load(dataDir);
    expect(second.config).toEqual(first.config);
    expect(second.notices).toEqual([
      `MASTER_KEYS is not set: using ${dataDir}/master-key`,
      `SERVICE_KEYS is not set: using ${dataDir}/service-key`,
    ]);
  });

  test('include a service key, whose file contains the key that a caller sends', () => {
    const dataDir = makeDirectory();
    const [entry] = load(dataDir).config.serviceKeys;
    expect(readFileSync(join(dataDir, 'service-key'), 'utf8')).toMatch(/^ghs_[A-Za-z0-9_-]{43}\n$/);
    expect([entry?.name, entry?.digest.toString('hex')]).toEqual([
      'development',
      digestIn(join(dataDir, 'service-key')),
    ]);
  });

  test('are not generated for configured keys', () => {
    const dataDir = makeDirectory();
    const { config, notices } = load(dataDir, { MASTER_KEYS_FILE: writeSecret(key('mine')) });
    expect(config.masterKeys.map(({ id }) => id)).toEqual(['mine']);
    expect(notices).toEqual([expect.stringContaining('service-key')]);
    expect(readdirSync(dataDir)).toEqual(['service-key']);
  });

  test('are neither generated nor read in production', () => {
    const dataDir = makeDirectory();
    load(dataDir);
    expect(() => load(dataDir, { NODE_ENV: 'production', PUBLIC_URL: 'https://a.example' })).toThrow(ConfigFaults);
    expect(load(dataDir, production).config.serviceKeys).toEqual([]);
  });

  test('that other users can read are all refused, with the remedy', () => {
    const dataDir = makeDirectory();
    load(dataDir);
    const files = ['master-key', 'service-key'].map((file) => join(dataDir, file));
    for (const file of files) chmodSync(file, 0o640);
    expect(() => load(dataDir)).toThrow(
      expect.objectContaining({
        faults: files.map((file) => expect.objectContaining({ example: `chmod 600 ${file}` })),
      }),
    );
  });

  test('that the fsGroup of Kubernetes opened to a group are closed again', () => {
    const dataDir = makeDirectory();
    const { config } = load(dataDir);
    const files = ['master-key', 'service-key'].map((file) => join(dataDir, file));
    for (const file of files) chmodSync(file, 0o660);
    const again = load(dataDir);
    expect(again.config.masterKeys).toEqual(config.masterKeys);
    for (const file of files) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(again.notices.join('\n')).toContain(`${file}, whose mode is 600 again`);
    }
  });

  test('that were altered are refused without being printed', () => {
    const dataDir = makeDirectory();
    writeFileSync(join(dataDir, 'master-key'), 'HuSh7', { mode: 0o600 });
    expect(() => load(dataDir)).toThrow(/master-key does not contain a generated secret/);
    expect(() => load(dataDir)).not.toThrow(/HuSh7/);
  });

  test('that cannot be created are a fault', () => {
    const file = writeSecret('not a directory');
    expect(() => load(join(file, 'data'))).toThrow(/cannot be used \(ENOTDIR\)/);
  });

  test('are the same for processes that start together', async () => {
    const dataDir = makeDirectory();
    const script = `
      import { loadConfig } from ${JSON.stringify(resolve('src/config/config.ts'))};
      const start = Number(process.env.START);
      while (Date.now() < start);
      const { config, notices } = loadConfig();
      const made = notices.filter((notice) => notice.startsWith('GENERATED')).length;
      console.log(JSON.stringify([made, config.masterKeys[0].key, config.serviceKeys[0].digest]));`;
    const env = { PATH: process.env.PATH, DATA_DIR: dataDir, START: String(Date.now() + 1500) };
    const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env });
    const outcomes = (await Promise.all(Array.from({ length: 6 }, run))).map(({ stdout }) => JSON.parse(stdout));
    expect(new Set(outcomes.map(([, ...keys]) => JSON.stringify(keys))).size).toBe(1);
    expect(outcomes.reduce((sum, [made]) => sum + made, 0)).toBe(2);
    expect(readdirSync(dataDir).sort()).toEqual(['master-key', 'service-key']);
  }, 30_000);
});
