import { describeFault } from '../database/fault.ts';
import { shellCommand } from '../text/program.ts';

const certificate = /^(CERT_|ERR_TLS_|ERR_SSL_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_)/;

/** What to change, for failures that a later attempt would meet as well. */
const cures: Readonly<Record<string, string>> = {
  '28P01': 'the password is wrong',
  '28000': 'the server admits no such user, address or encryption (pg_hba.conf)',
  '3D000': `the database that it names does not exist: create it, or run ${shellCommand('migrate --create')}`,
  '42501':
    'the user lacks a right: let the user own the database, or run GRANT CREATE, USAGE ON SCHEMA public TO the user',
  ENOTFOUND: 'the host is unknown',
  NO_TLS: 'the server has no TLS, which sslmode demands',
  NO_CHANNEL_BINDING: 'the server offers no channel binding, which channel_binding demands',
};

/** Names the setting behind a failure that waiting does not mend. Undefined for other failures. */
export function explainStartFault(error: unknown): Error | undefined {
  if (error instanceof Error && error.name === 'UnfitDatabase') return error;
  const { code = '', database } = describeFault(error) ?? {};
  const cure = certificate.test(code)
    ? 'the certificate of the server is not accepted: check sslmode, sslrootcert and the host'
    : cures[code];
  if (!cure) return undefined;
  return new Error(`DATABASE_URL: ${cure} (${code}${database ? ` from ${database}` : ''})`, { cause: error });
}
