import { createHash } from 'node:crypto';
import { z } from 'zod';
import { parseConnectionUrl } from '../database/connection-url.ts';
import type { ConnectionUrlFault } from '../database/connection-url-fault.ts';
import { areUnique, listOf } from './parsers.ts';
import { scopes } from './scopes.ts';

export const databaseUrl = z
  .string()
  .superRefine((text, context) => {
    try {
      parseConnectionUrl(text);
    } catch (error) {
      context.addIssue((error as ConnectionUrlFault).message);
    }
  })
  .describe(
    'a URL postgres://user:password@host:port/name?sslmode=verify-full, special characters of the password percent-encoded, several hosts separated by commas',
  );

/** `id:base64`, a 256-bit key and the name that what it sealed carries. */
const secretKey = z
  .string()
  .regex(/^[a-z0-9_-]{1,16}:[^:]*$/, 'not of the form id:base64, the id 1 to 16 of a-z, 0-9, _ and -')
  .transform((text) => text.split(':'))
  .transform(([id = '', base64 = '']) => ({ id, base64, key: Buffer.from(base64, 'base64') }))
  .refine(({ base64, key }) => key.toString('base64') === base64, { error: 'the key is not base64', abort: true })
  .refine(({ key }) => key.length === 32, { error: 'the key is not exactly 32 bytes', abort: true })
  .refine(({ key }) => !isGuessable(key), 'the key is guessable, not 32 random bytes')
  .transform(({ id, key }) => ({ id, key }));

export const secretKeys = listOf(secretKey)
  .refine((keys) => areUnique(keys.map(({ id }) => id)), 'an id stands there twice')
  .refine((keys) => areUnique(keys.map(({ key }) => key.toString('hex'))), 'a key stands there twice')
  .describe(
    'a comma-separated list of id:base64, the active key first, each id 1 to 16 characters a-z, 0-9, _ or -, each key 32 random bytes',
  );

/**
 * Whether 32 bytes are surely not random: few distinct values, one half like the other, a constant step (0, 1, 2 ...),
 * or nothing but typed characters. Random keys fail this less than once in 2^40.
 */
function isGuessable(key: Buffer): boolean {
  const steps = new Set(key.subarray(1).map((byte, index) => (byte - (key[index] ?? 0)) & 255));
  const halvesAgree = key.subarray(0, 16).equals(key.subarray(16));
  return new Set(key).size < 8 || steps.size === 1 || halvesAgree || /^[\t\n\r -~]*$/.test(key.toString('latin1'));
}

const digestOf = (text: string) => createHash('sha256').update(text).digest('hex');

// With a newline too: `echo changeme | sha256sum` hashes one.
const guessableDigests = new Set(
  ['', 'changeme', 'secret', 'password', 'test', 'admin', 'gatehouse'].flatMap((word) => [
    digestOf(word),
    digestOf(`${word}\n`),
  ]),
);

/** Whether a service key with this SHA-256, in hexadecimal digits, is empty or well known. */
export const isGuessableDigest = (digest: string): boolean => guessableDigests.has(digest.toLowerCase());

const serviceKey = z
  .string()
  .regex(/^[a-z0-9_-]{1,64}:[0-9a-fA-F]{64}(:[^:]*)?$/, {
    error: 'not of the form name:sha256 or name:sha256:scope+scope, the digest 64 hexadecimal digits',
    abort: true,
  })
  .transform((text) => text.split(':'))
  .transform(([name = '', digest = '', scopes]) => ({
    ...{ name, digest: digest.toLowerCase() },
    ...(scopes !== undefined && { scopes }),
  }))
  .refine(({ digest }) => !isGuessableDigest(digest), 'the digest of an empty or well-known key')
  .pipe(z.object({ name: z.string(), digest: z.string(), scopes: scopes.optional() }))
  .transform(({ digest, ...rest }) => ({ ...rest, digest: Buffer.from(digest, 'hex') }));

export const serviceKeys = listOf(serviceKey)
  .refine((keys) => areUnique(keys.map(({ name }) => name)), 'a name stands there twice')
  .refine((keys) => areUnique(keys.map(({ digest }) => digest.toString('hex'))), 'a digest stands there twice')
  .describe(
    'a comma-separated list of name:sha256 or name:sha256:scope+scope, each name 1 to 64 characters a-z, 0-9, _ or -, each hash 64 hexadecimal digits, each scope a service or Service.Method of the contract',
  );

/** A key of Standard Webhooks: 24 to 64 bytes. */
const webhookSecret = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]+={0,2}$/, 'not of the form whsec_base64')
  .transform((text) => text.slice('whsec_'.length))
  .transform((base64) => ({ base64, key: Buffer.from(base64, 'base64') }))
  .refine(({ base64, key }) => key.toString('base64') === base64, { error: 'the secret is not base64', abort: true })
  .refine(({ key }) => key.length >= 24 && key.length <= 64, { error: 'the secret is not 24 to 64 bytes', abort: true })
  .refine(({ key }) => !isGuessable(key), 'the secret is guessable, not random bytes')
  .transform(({ key }) => key);

export const webhookSecrets = listOf(webhookSecret)
  .refine((keys) => areUnique(keys.map((key) => key.toString('hex'))), 'a secret stands there twice')
  .describe('a comma-separated list of whsec_base64, each secret 24 to 64 random bytes');

const oauthClient = z
  .string()
  .regex(
    /^[A-Za-z0-9._-]{1,64}(:[0-9a-fA-F]{64})?$/,
    'not of the form id or id:sha256, the digest 64 hexadecimal digits',
  )
  .transform((text) => text.split(':'))
  .transform(([id = '', digest]) => ({ id, digest: digest?.toLowerCase() }))
  .refine(({ digest }) => !digest || !guessableDigests.has(digest), 'the digest of an empty or well-known secret')
  .transform(({ id, digest }) => ({ id, ...(digest && { digest: Buffer.from(digest, 'hex') }) }));

export const oauthClients = listOf(oauthClient)
  .refine((clients) => areUnique(clients.map(({ id }) => id)), 'an id stands there twice')
  .describe(
    'a comma-separated list of id or id:sha256, each id 1 to 64 characters A-Z, a-z, 0-9, ., _ or -, each hash 64 hexadecimal digits',
  );

/** JWT secrets of Supabase, as its dashboard shows them. */
export const jwtSecrets = listOf(
  z
    .string()
    .min(32, 'shorter than 32 characters')
    .regex(/^[!-~]+$/, 'with a space or a character that is not ASCII'),
).describe('a comma-separated list of secrets of at least 32 characters');

/** Keys that pages contain. */
export const publishableKeys = listOf(
  z.string().regex(/^[\w.-]{8,4096}$/, 'not 8 or more letters, digits, dots, hyphens and underscores'),
).describe('a comma-separated list of keys of 8 or more letters, digits, dots, hyphens and underscores');
