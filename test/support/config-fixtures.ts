import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ConfigFaults, readConfig } from '../../src/config/config.ts';

export type Environment = Record<string, string>;

export const key = (id: string) => `${id}:${randomBytes(32).toString('base64')}`;
export const digest = (text: string) => createHash('sha256').update(text).digest('hex');
export const production = {
  NODE_ENV: 'production',
  MASTER_KEYS: key('first'),
  PUBLIC_URL: 'https://auth.example.com',
  MAIL_MODE: 'off',
};

export const read = (env: Environment) => readConfig(env).config;

export function faultsOf(env: Environment): ConfigFaults {
  try {
    readConfig(env);
  } catch (thrown) {
    if (thrown instanceof ConfigFaults) return thrown;
    throw thrown;
  }
  throw new Error('nothing was refused');
}

export const faulty = (env: Environment) => faultsOf(env).faults.map(({ variable }) => variable);

/** A directory that is removed after the test. */
export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-config-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** Settings of TLS with their files, in a directory that is removed after the test. */
export function mountCertificates() {
  const secret = makeDirectory();
  const certificates = join(import.meta.dirname, 'certificates');
  const files = { 'tls.crt': 'server.pem', 'tls.key': 'server.key', 'ca.crt': 'authority.pem' };
  for (const [name, from] of Object.entries(files)) copyFileSync(join(certificates, from), join(secret, name));
  const tls = { TLS_CERT: `${secret}/tls.crt`, TLS_KEY: `${secret}/tls.key`, TLS_CLIENT_CA: `${secret}/ca.crt` };
  return { secret, tls };
}

export function writeSecret(text: string): string {
  const file = join(makeDirectory(), 'secret');
  writeFileSync(file, text);
  return file;
}
