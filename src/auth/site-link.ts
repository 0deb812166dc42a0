import type { SiteLink as SiteLinkMessage } from '../../gen/gatehouse/v1/auth_pb.ts';
import { CodeChallengeMethod } from '../../gen/gatehouse/v1/oauth_pb.ts';
import { Refusal } from '../errors.ts';
import type { CodeChallenge } from '../one-time/flow.ts';
import type { MailedKind } from '../one-time/secret.ts';
import type { Projects } from '../project/projects.ts';

/** What a link in a mail leads to, when it does not lead to the pages of the application. */
export interface SiteLink {
  readonly redirectTo: string;
  readonly challenge: CodeChallenge | undefined;
  /** The key that names the project. Null for the default project. */
  readonly apiKey: string | null;
}

/** The `type` of a link, as clients of Supabase Auth know it. */
const types: Readonly<Record<MailedKind, string>> = {
  email_verification: 'signup',
  password_reset: 'recovery',
  magic_link: 'magiclink',
  email_change: 'email_change',
  email_change_approval: 'email_change',
  invite: 'invite',
  reauthentication: 'reauthentication',
};

const pkcePrefix = 'pkce_';

/** Links to /auth/v1/verify, which uses the one-time value and then leads the browser back to the site. */
export class SiteLinks {
  readonly #issuer: string;
  readonly #projects: Projects;

  constructor(issuer: string, projects: Projects) {
    this.#issuer = issuer;
    this.#projects = projects;
  }

  /** A place that is not allowed in the project is replaced by its site. */
  read(message: SiteLinkMessage | undefined, projectId: string): SiteLink | undefined {
    if (!message) return undefined;
    const { redirects, publishableKey: apiKey } = this.#projects.of(projectId);
    return { redirectTo: redirects.choose(message.redirectTo), challenge: challengeOf(message), apiKey };
  }

  /** The value as it stands in a link. Its prefix shows that the browser has to exchange a code. */
  tokenOf(raw: string, { challenge }: SiteLink): string {
    return challenge ? pkcePrefix + raw : raw;
  }

  urlOf(kind: MailedKind, raw: string, link: SiteLink): string {
    const { redirectTo, apiKey } = link;
    // Clients compare links with the place that they have sent, so it is encoded only where it has to be.
    const place = /[&=#%+]/.test(redirectTo) ? encodeURIComponent(redirectTo) : redirectTo;
    // A mail program takes what ends a sentence for punctuation behind the link.
    const end = place.replace(/[^A-Za-z0-9/]$/, (mark) => `%${mark.charCodeAt(0).toString(16)}`);
    // The browser that opens the link sends no header.
    const key = apiKey === null ? '' : `&apikey=${apiKey}`;
    return `${this.#issuer}/verify?token=${this.tokenOf(raw, link)}&type=${types[kind]}${key}&redirect_to=${end}`;
  }
}

/** The value in a presented token, without the prefix. */
export function valueInLink(token: string): string {
  return token.startsWith(pkcePrefix) ? token.slice(pkcePrefix.length) : token;
}

/** Of a message that names both parts or none. */
export function challengeOf({
  codeChallenge,
  codeChallengeMethod,
}: Pick<SiteLinkMessage, 'codeChallenge' | 'codeChallengeMethod'>): CodeChallenge | undefined {
  const isPlain = codeChallengeMethod === CodeChallengeMethod.PLAIN;
  if (!codeChallenge !== (codeChallengeMethod === CodeChallengeMethod.UNSPECIFIED))
    throw new Refusal('INVALID_ARGUMENT', {
      fields: [{ field: 'link.code_challenge', description: 'must be given together with its method' }],
    });
  return codeChallenge ? { value: codeChallenge, method: isPlain ? 'plain' : 's256' } : undefined;
}
