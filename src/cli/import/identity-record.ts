import { readAddress } from '../../text/email-address.ts';
import type { Left } from './system.ts';
import { compact, flagOf, shownOf, textOf, timeOf } from './values.ts';

/** What another system knows of a user of a provider. */
export interface ForeignIdentity {
  readonly provider: string;
  readonly subject: string | undefined;
  readonly email?: unknown;
  readonly emailVerified?: unknown;
  readonly name?: unknown;
  readonly username?: unknown;
  readonly picture?: unknown;
  readonly createdAt?: unknown;
  readonly line: number;
}

const microsoft = ['azure', 'azure-ad', 'azuread', 'microsoft', 'windowslive', 'entra'];

/** The names of providers here by those of other systems. */
const renamed: Readonly<Record<string, string>> = { 'google-oauth2': 'google' };

/** The field of a line for an identity, or why it is left out. */
function identityRecord(identity: ForeignIdentity): { record: Record<string, unknown> } | { left: Left } {
  const { line } = identity;
  const lower = identity.provider.toLowerCase().replace(/^custom:/, '');
  if (microsoft.includes(lower)) return { left: { kind: 'Microsoft identity', line } };
  const provider = renamed[lower] ?? lower;
  if (!/^[a-z][a-z0-9_-]{0,31}$/.test(provider))
    return { left: { kind: 'identity', line, why: 'its provider has a name that is not possible here' } };
  const subject = textOf(identity.subject);
  if (!subject) return { left: { kind: 'identity', line, why: `${provider}: without a subject` } };
  const picture = textOf(identity.picture);
  const record = compact({
    ...{ provider, subject },
    email: readAddress(textOf(identity.email) ?? ''),
    email_verified: flagOf(identity.emailVerified) ?? false,
    name: shownOf(identity.name, 200),
    username: shownOf(identity.username, 200),
    picture_url: picture && /^https:\/\/[!-~]{1,1992}$/.test(picture) ? picture : undefined,
    created_at: timeOf(identity.createdAt),
  });
  return { record };
}

/** Sorts identities into those that are imported and those that are left out. */
export function identityRecords(identities: readonly ForeignIdentity[]) {
  const read = identities.map(identityRecord);
  return {
    records: read.flatMap((each) => ('record' in each ? [each.record] : [])),
    left: read.flatMap((each) => ('left' in each ? [each.left] : [])),
  };
}
