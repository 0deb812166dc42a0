import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ConfigFaults, readConfig } from '../src/config.ts';

export type Environment = Record<string, string>;

export const key = (id: string) => `${id}:${randomBytes(32).toString('base64')}`;
export const digest = (text: string) => createHash('sha256').update(text).digest('hex');
export const production = { NODE_ENV: 'production', MASTER_KEYS: key('first'), PUBLIC_URL: 'https://auth.example.com' };

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

/** A directory that ends with the test. */
export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-config-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

export function writeSecret(text: string): string {
  const file = join(makeDirectory(), 'secret');
  writeFileSync(file, text);
  return file;
}
