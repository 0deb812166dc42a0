import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import { compileGlob } from '../text/glob.ts';

// A parser's description is the sentence about what is allowed. Its messages say what is wrong and never repeat the
// value, because they stand next to secrets too.

export const choice = <const T extends readonly string[]>(...names: T) =>
  z.enum(names, 'none of these').describe(`one of ${names.join(', ')}`);

export const onOff = z
  .enum(['on', 'off'], 'neither on nor off')
  .transform((text) => text === 'on')
  .describe('on or off');

export const yesNo = z
  .enum(['yes', 'no'], 'neither yes nor no')
  .transform((text) => text === 'yes')
  .describe('yes or no');

/** Digits only: no sign unless the range has one, no fraction, no exponent, no leading zero. */
export function wholeNumber(least: number, most: number, unit = '') {
  return z
    .string()
    .regex(/^(0|-?[1-9]\d*)$/, 'not a whole number')
    .transform(Number)
    .pipe(z.number('too large').min(least, 'too small').max(most, 'too large'))
    .describe(`a whole number${unit && ` of ${unit}`} from ${least} to ${most}`);
}

/** A port that may be left closed, which reads as undefined. */
export const portOrOff = z
  .string()
  .regex(/^(off|0|[1-9]\d*)$/, 'neither off nor a whole number')
  .transform((text) => (text === 'off' ? undefined : Number(text)))
  .pipe(z.number('too large').max(65_535, 'too large').optional())
  .describe('a whole number from 0 to 65535, or off');

/** What a billing system may call a plan. */
export const planName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'not 1 to 64 letters, digits, dots, hyphens and underscores')
  .describe('1 to 64 letters, digits, dots, hyphens and underscores');
/** Whole days, or undefined for ever. */
export const daysOrOff = z
  .string()
  .regex(/^(off|[1-9]\d*)$/, 'neither off nor a whole number above 0')
  .transform((text) => (text === 'off' ? undefined : Number(text)))
  .pipe(z.number('too large').max(36_500, 'too large').optional())
  .describe('a whole number of days from 1 to 36500, or off');

const secondsPer: Record<string, number> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds, written `90`, `90s`, `10m`, `12h` or `7d`. */
export function duration(least: string, most: string) {
  return z
    .string()
    .transform(readSeconds)
    .pipe(
      z
        .number('not a duration')
        .min(readSeconds(least), `shorter than ${least}`)
        .max(readSeconds(most), `longer than ${most}`),
    )
    .describe(`a duration from ${least} to ${most}, such as 90s, 10m, 12h, 7d or plain seconds`);
}

function readSeconds(text: string): number {
  const [, count, unit = ''] = /^(0|[1-9]\d{0,9})([smhd]?)$/.exec(text) ?? [];
  return Number(count) * (secondsPer[unit] ?? Number.NaN);
}

const lifetimePart = duration('1s', '3650d');

/** `idle/absolute`: how long a session lives unused, and how long at all. */
export const lifetime = z
  .string()
  .regex(/^[^/]*\/[^/]*$/, 'not two durations with a slash between')
  .transform((text) => text.split('/'))
  .pipe(z.tuple([lifetimePart, lifetimePart]))
  .transform(([idle, absolute]) => ({ idle, absolute }))
  .refine(({ idle, absolute }) => idle <= absolute, 'the idle limit is longer than the absolute one')
  .describe('idle/absolute, two durations from 1s to 3650d, idle at most absolute');

export const path = z
  .string()
  .refine((text) => !text.includes('\0'), 'holds a NUL character')
  .transform((text) => resolve(text))
  .describe('a directory, absolute or relative to the working directory');

/** The path of a file; rules say whether it is a good one. */
export function pemFile(what: string) {
  return path.describe(`the path of a PEM file with ${what}`);
}

export const ipAddress = z
  .string()
  .refine((text) => isIP(text) !== 0, 'not an IP address')
  .describe('an IPv4 or IPv6 address');

/** An http(s) origin; the result has no trailing slash. */
export const publicUrl = z
  .string()
  .regex(/^https?:\/\/[^\s/?#\\@]+\/?$/, 'not an origin: scheme://host or scheme://host:port, nothing behind it')
  .refine(URL.canParse, 'not a URL')
  .transform((text) => new URL(text).origin)
  // It is in every access token, whose size is limited.
  .refine((origin) => origin.length <= 100, 'longer than 100 characters')
  .describe('an absolute http or https URL of at most 100 characters without path, query, fragment or user');

/** Where pages are: links begin with it. The result has no trailing slash. */
export const pageUrl = z
  .string()
  .regex(/^https?:\/\/[^\s/?#\\@]+(\/[^\s?#\\]*)?$/, 'not an address without user, query and fragment')
  .refine(URL.canParse, 'not a URL')
  .transform((text) => new URL(text).href.replace(/\/+$/, ''))
  .describe('an absolute http or https URL, optionally with a path; no query, fragment or user');

const originShape = /^[a-z][a-z0-9+.-]*:\/\/([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/;

// Browsers send the canonical form and origins are compared as strings, so any other spelling would never match.
const isCanonical = (text: string) => !/^https?:/.test(text) || (URL.canParse(text) && new URL(text).origin === text);

export const origins = listOf(
  z
    .string()
    .regex(originShape, 'not an exact origin')
    .refine(isCanonical, 'not as browsers write it (lower case, no default port)'),
).describe('a comma-separated list of exact origins scheme://host[:port]; no wildcard, no null, no trailing slash');

/** Patterns of URLs, as src/text/glob.ts reads them. */
export const urlPatterns = listOf(
  z
    .string()
    .regex(/^[a-z][a-z0-9+.-]*:[!-~]+$/i, 'not a URL with a scheme in ASCII')
    .refine((text) => compileGlob(text) !== undefined, 'an open bracket, or a brace'),
).describe(
  'a comma-separated list of URLs, in which * stands for characters except . and /, ** for any characters, ? for one character except . and /',
);

/** Argon2id's parameters, memory in KiB. */
export const hashCost = z
  .string()
  .regex(/^m=\d{1,9},t=\d{1,3},p=\d{1,3}$/, 'not of the form m=...,t=...,p=...')
  .transform((text) => text.split(',').map((part) => Number(part.slice(2))))
  .pipe(
    z.tuple([
      z.number().max(1_048_576, 'm is too large'),
      z.number().min(1, 't is too small').max(20, 't is too large'),
      z.number().min(1, 'p is too small').max(16, 'p is too large'),
    ]),
  )
  .transform(([memoryCost, timeCost, parallelism]) => ({ memoryCost, timeCost, parallelism }))
  .refine(({ memoryCost, parallelism }) => memoryCost >= 8 * parallelism, 'm is less than 8 times p')
  .describe('m=KiB,t=passes,p=lanes with m from 8 times p to 1048576, t from 1 to 20, p from 1 to 16');

const limitEntry = z
  .string()
  .regex(
    /^(\*|OAuth\.ClientSecret|[A-Za-z]+Service\.[A-Za-z][A-Za-z0-9]*(:(session|supabase|success|codes|account|consecutive|network|project))?)=[^=]*$/,
    {
      error: 'not of the form Service.Method=number',
      abort: true,
    },
  )
  .regex(/=(off|1000000|[1-9]\d{0,5})$/, 'the limit is neither off nor a whole number from 1 to 1000000')
  .transform((text) => text.split('='))
  .transform(([key = '', limit]) => ({ key, limit: limit === 'off' ? ('off' as const) : Number(limit) }));

export const limits = listOf(limitEntry)
  .refine((list) => areUnique(list.map(({ key }) => key)), 'a method stands there twice')
  .transform((list) => Object.fromEntries(list.map(({ key, limit }) => [key, limit])))
  .describe(
    'a comma-separated list of Service.Method=N, Service.Method:session=N, Service.Method:supabase=N (calls through /auth/v1) and *=N, where N is calls a minute (1 to 1000000) or off; for sign-ins of one account AuthService.SignIn:success=N; for unknown codes DeviceService.ApproveDevice:codes=N; for wrong secrets of OAuth clients OAuth.ClientSecret=N; for failed attempts AuthService.SignIn:account=N, :consecutive=N, :network=N and :project=N',
  );

export const tokenClaims = listOf(z.enum(['account_id', 'account_role'], 'neither account_id nor account_role'))
  .refine(areUnique, 'a claim stands there twice')
  .describe('a comma-separated list of account_id and account_role');

/** A comma list, spaces around an entry ignored; every wrong entry is named by its place. */
export function listOf<T>(entry: z.ZodType<T, string>) {
  return z.string().transform((text, context) =>
    text.split(',').flatMap((part, index) => {
      const read = entry.safeParse(part.trim());
      if (read.success) return [read.data];
      for (const { message } of read.error.issues) context.addIssue(`entry ${index + 1} is wrong: ${message}`);
      return [];
    }),
  );
}

export function areUnique(texts: readonly string[]): boolean {
  return new Set(texts).size === texts.length;
}
