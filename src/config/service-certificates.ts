import { z } from 'zod';
import { areUnique, listOf } from './parsers.ts';
import { scopes } from './scopes.ts';

/** A name in a client certificate. At most 64 characters, which is what the audit trail holds of a caller. */
const certificateName = z
  .string()
  .regex(/^[!-~]{1,64}$/, 'not 1 to 64 printable characters without a space')
  .regex(/^[^*"\\]*$/, 'holds a wildcard, a quote or a backslash; names match letter by letter');

const entry = z
  .string()
  .transform(splitScopes)
  .pipe(z.object({ name: certificateName, scopes: scopes.optional() }));

export const serviceCertificates = listOf(entry)
  .refine((list) => areUnique(list.map(({ name }) => name)), 'a name stands there twice')
  .describe(
    'a comma-separated list of name or name:scope+scope, each name 1 to 64 characters, exactly as in the certificate, no wildcard, each scope a service or Service.Method of the contract',
  );

/**
 * Splits at the last colon, except where the colon belongs to a URI: before `//`, before a port, or before a path. An
 * empty text after the colon is an unknown scope: an expansion that failed must not grant all methods.
 */
function splitScopes(text: string): { name: string; scopes?: string } {
  const [, name, scopes] = /^(.*):([^:]*)$/.exec(text) ?? [];
  if (name === undefined || scopes === undefined || isOfUri(name, scopes)) return { name: text };
  return { name, scopes };
}

function isOfUri(before: string, after: string): boolean {
  const begins = after.startsWith('//');
  return begins || (before.includes('://') && /^\d+$|[/\]@]/.test(after));
}
