import { lowerAscii, readAddress } from '../../text/email-address.ts';
import { unseen } from '../../text/invisible-characters.ts';
import type { ProvedIdentity } from '../../user/identity.ts';
import type { Claims } from './provider.ts';

/** Decides whether a provider says that it has verified the address. */
export type ReadsVerified = (claims: Claims) => boolean;

/** OpenID Connect Core 1.0, section 5.1: a boolean. Every other value says nothing. */
export const byBoolean: ReadsVerified = ({ email_verified: verified }) => verified === true;

/** Apple sends the boolean as text too. */
export const byAppleText: ReadsVerified = ({ email_verified: verified }) => verified === true || verified === 'true';

/**
 * Microsoft has no `email_verified`. Attack: an administrator of any tenant can write any address into `email`. The optional
 * claim `xms_edov` says that the tenant has proved to own the domain.
 */
export const byDomainOwner: ReadsVerified = ({ xms_edov: owned }) =>
  [true, 1, '1', 'true'].some((yes) => yes === owned);

export interface ProfileRules {
  readonly provider: string;
  /** Whether the operator believes what the provider says of addresses. */
  readonly trustsEmail: boolean;
  readonly isVerified: ReadsVerified;
}

/** An identity by the claims of an ID token, of a userinfo response or of a provider's own API, named alike. */
export function identityOf(
  { provider, trustsEmail, isVerified }: ProfileRules,
  subject: string,
  claims: Claims,
): ProvedIdentity {
  const { email: given, name, preferred_username: username, picture } = claims;
  // In lower case: providers return capitals that their users never typed.
  const email = typeof given === 'string' ? readAddress(lowerAscii(given)) : undefined;
  return {
    provider,
    subject,
    email,
    emailVerified: email !== undefined && trustsEmail && isVerified(claims),
    name: displayed(name),
    username: displayed(username),
    pictureUrl: pictureOf(picture),
  };
}

/** A text of a provider as requests of ours may hold it: no control and no invisible characters, and not too long. */
export function displayed(text: unknown, longest = 200): string {
  if (typeof text !== 'string') return '';
  const visible = text.replace(/\p{Cc}/gu, ' ').replace(new RegExp(unseen.source, 'gu'), '');
  return visible.toWellFormed().trim().slice(0, longest).toWellFormed();
}

function pictureOf(url: unknown): string {
  const isPicture =
    typeof url === 'string' && url.length <= 2000 && /^https:\/\/[!-~]+$/.test(url) && URL.canParse(url);
  return isPicture ? url : '';
}

/** The name in the form that Apple sends with the first sign-in of a user, and never again. */
export function nameOfAppleUser(user: string): string {
  try {
    const { name } = JSON.parse(user) as { name?: { firstName?: unknown; lastName?: unknown } };
    return displayed([name?.firstName, name?.lastName].filter((part) => typeof part === 'string').join(' '));
  } catch {
    return '';
  }
}
