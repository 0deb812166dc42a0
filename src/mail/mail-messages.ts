import type { Projects } from '../project/projects.ts';

/** The kinds of mail. Each has a text of its name in every language. */
export type MailKind =
  | 'verification'
  | 'password_reset'
  | 'magic_link'
  | 'email_change'
  | 'email_change_notice'
  | 'email_changed'
  | 'password_changed'
  | 'already_registered'
  | 'account_invite'
  | 'new_device'
  | 'factor_enrolled'
  | 'factor_removed'
  | 'factors_reset'
  | 'recovery_codes_created'
  | 'recovery_code_used'
  | 'factor_failed'
  | 'invite'
  | 'reauthentication'
  | 'email_change_approval'
  | 'passkey_added'
  | 'passkey_removed'
  | 'key_copied'
  | 'identity_linked'
  | 'identity_unlinked';

/** A mail before it is rendered. */
export interface Message {
  readonly kind: MailKind;
  readonly projectId: string;
  readonly recipient: string;
  /** The language that the user has chosen: a BCP 47 tag, or empty. */
  readonly locale: string;
  /** The one-time value or the invitation in the mail. The mail is cancelled when it is no longer valid. */
  readonly tokenId?: string;
  /** The user whose one-time value it is. */
  readonly userId?: string;
  /** The values of the text's placeholders. */
  readonly variables: Readonly<Record<string, string>>;
}

/** The person a mail is sent to. */
export interface Addressee {
  readonly projectId: string;
  readonly email: string;
  readonly name: string;
  readonly locale: string;
}

/** A one-time value to be mailed. */
export interface MailedValue {
  readonly id: string;
  readonly userId: string;
  readonly raw: string;
  /** A code that may be typed instead of opening the link. */
  readonly code?: string | undefined;
  /** The value of the link for readers who did not register. */
  readonly rejection?: string | undefined;
  /** The link, where it does not lead to the pages of the application. */
  readonly link?: string | undefined;
  /** Seconds. */
  readonly lifetime: number;
}

/** An invitation into an account to be mailed. */
interface Invitation {
  readonly id: string;
  readonly code: string;
  /** The names of the account and of the inviting member. */
  readonly account: string;
  readonly inviter: string;
  readonly expiresAt: Date;
}

/** The origin of a sign-in. */
interface SeenDevice {
  readonly at: Date;
  readonly address: string;
  /** As the client names itself. */
  readonly device: string;
}

/** An account with a provider that was linked or unlinked. */
export interface LinkedIdentity {
  /** The name of the provider, for people. */
  readonly provider: string;
  /** The user's name at the provider. May be empty. */
  readonly name: string;
}

/** One method per mail. Links begin with the URL in the settings of the project, never with anything of a request. */
export class Messages {
  readonly #projects: Projects;
  readonly #publicUrl: string;

  /** `publicUrl` is the address of the pages of this service. */
  constructor(projects: Projects, publicUrl: string) {
    this.#projects = projects;
    this.#publicUrl = publicUrl;
  }

  verification(to: Addressee, value: MailedValue): Message {
    const message = this.#withLink('verification', 'verify-email', to, value);
    const reject_link = this.#linkTo('reject-registration', to.projectId, value.rejection ?? '');
    return { ...message, variables: { ...message.variables, reject_link } };
  }

  passwordReset(to: Addressee, value: MailedValue): Message {
    return this.#withLink('password_reset', 'reset-password', to, value);
  }

  magicLink(to: Addressee, value: MailedValue): Message {
    return this.#withLink('magic_link', 'magic-link', to, value);
  }

  /** Sent to the new address. */
  emailChange(to: Addressee, value: MailedValue): Message {
    return this.#withLink('email_change', 'confirm-email-change', to, value);
  }

  /** Sent to the old address. It does not reveal the new one, because the user may have lost control of the old mailbox. */
  emailChangeNotice(to: Addressee): Message {
    return this.#plain('email_change_notice', to);
  }

  /** Sent to the old address. */
  emailChanged(to: Addressee, at: Date): Message {
    return this.#plain('email_changed', to, { time: at.toISOString() });
  }

  passwordChanged(to: Addressee, at: Date): Message {
    return this.#plain('password_changed', to, { time: at.toISOString() });
  }

  alreadyRegistered(to: Addressee): Message {
    return this.#plain('already_registered', to);
  }

  /** Attack: the client chooses the name of the device, so it is reduced to plain words. */
  newDevice(to: Addressee, { at, address, device }: SeenDevice): Message {
    return this.#plain('new_device', to, { time: at.toISOString(), address, device: asWords(device) || '-' });
  }

  /** Attack: the clients choose the names of the sessions, which are reduced to plain words as well. */
  factorEnrolled(to: Addressee, factor: string, revoked: readonly string[], at: Date): Message {
    const names = [...new Set(revoked.map((each) => asWords(each) || '-'))];
    const sessions = names.length > mostNames ? [...names.slice(0, mostNames), '…'] : names;
    const more = { factor: asWords(factor), time: at.toISOString() };
    return this.#plain('factor_enrolled', to, { ...more, ...(names.length > 0 && { sessions: sessions.join(', ') }) });
  }

  factorRemoved(to: Addressee, factor: string, at: Date): Message {
    return this.#plain('factor_removed', to, { factor: asWords(factor), time: at.toISOString() });
  }

  factorsReset(to: Addressee, at: Date): Message {
    return this.#plain('factors_reset', to, { time: at.toISOString() });
  }

  recoveryCodesCreated(to: Addressee, at: Date): Message {
    return this.#plain('recovery_codes_created', to, { time: at.toISOString() });
  }

  recoveryCodeUsed(to: Addressee, remaining: number, { at, address, device }: SeenDevice): Message {
    const seen = { time: at.toISOString(), address, device: asWords(device) || '-' };
    return this.#plain('recovery_code_used', to, { ...seen, remaining: `${remaining}` });
  }

  factorFailed(to: Addressee, factor: string, { at, address, device }: SeenDevice): Message {
    const seen = { time: at.toISOString(), address, device: asWords(device) || '-' };
    return this.#plain('factor_failed', to, { ...seen, factor: asWords(factor) });
  }

  passkeyAdded(to: Addressee, passkey: string, at: Date): Message {
    return this.#plain('passkey_added', to, { factor: asWords(passkey), time: at.toISOString() });
  }

  passkeyRemoved(to: Addressee, passkey: string, at: Date): Message {
    return this.#plain('passkey_removed', to, { factor: asWords(passkey), time: at.toISOString() });
  }

  keyCopied(to: Addressee, factor: string, { at, address, device }: SeenDevice): Message {
    const seen = { time: at.toISOString(), address, device: asWords(device) || '-' };
    return this.#plain('key_copied', to, { ...seen, factor: asWords(factor) });
  }

  /** Attack: users of a provider choose their names there, so the identity is reduced to plain words. */
  identityLinked(to: Addressee, identity: LinkedIdentity, at: Date): Message {
    return this.#plain('identity_linked', to, { ...inWords(identity), time: at.toISOString() });
  }

  identityUnlinked(to: Addressee, identity: LinkedIdentity, at: Date): Message {
    return this.#plain('identity_unlinked', to, { ...inWords(identity), time: at.toISOString() });
  }

  /** Attack: the mail may go to any address, so the names of the account and the inviter are reduced to plain words. */
  invitation(to: Addressee, { id, code, account, inviter, expiresAt }: Invitation): Message {
    const names = { account: asWords(account), inviter: asWords(inviter) };
    const more = { ...names, link: this.invitationLink(to.projectId, code), time: expiresAt.toISOString() };
    return { ...this.#plain('account_invite', to, more), tokenId: id };
  }

  invitationLink(projectId: string, code: string): string {
    return `${this.#projects.of(projectId).settings.frontendUrl}/invite?account_invite_code=${encodeURIComponent(code)}`;
  }

  /** Sent to the current address. */
  emailChangeApproval(to: Addressee, value: MailedValue): Message {
    return this.#withLink('email_change_approval', 'confirm-email-change', to, value);
  }

  invite(to: Addressee, value: MailedValue): Message {
    return this.#withLink('invite', 'magic-link', to, value);
  }

  /** Has a code only. */
  reauthentication(to: Addressee, { id, userId, code = '', lifetime }: MailedValue): Message {
    return { ...this.#plain('reauthentication', to, { code, lifetime: `${lifetime}` }), tokenId: id, userId };
  }

  #withLink(kind: MailKind, page: string, to: Addressee, value: MailedValue): Message {
    const { id, userId, raw, code, lifetime, link = this.#linkTo(page, to.projectId, raw) } = value;
    return { ...this.#plain(kind, to, { link, lifetime: `${lifetime}`, ...(code && { code }) }), tokenId: id, userId };
  }

  #linkTo(page: string, projectId: string, raw: string): string {
    const { isDefault, slug, settings } = this.#projects.of(projectId);
    // The application of a project knows its project. The pages of this service read it from the link.
    const project = isDefault || settings.frontendUrl !== this.#publicUrl ? '' : `&project=${slug}`;
    return `${settings.frontendUrl}/${page}?token=${encodeURIComponent(raw)}${project}`;
  }

  /** The name of the application, and what of its look differs from the configuration. */
  #lookOf(projectId: string) {
    const { configured } = this.#projects;
    const { appName: site, accentColor: accent, logoUrl: logo } = this.#projects.of(projectId).settings;
    const look = {
      ...(site !== configured.appName && { sender: site }),
      ...(accent !== configured.accentColor && { accent }),
      ...(logo !== undefined && logo !== configured.logoUrl && { logo }),
    };
    return { site, look };
  }

  #plain(kind: MailKind, to: Addressee, more: Record<string, string> = {}): Message {
    const { projectId, email: recipient, name, locale } = to;
    const { look, site } = this.#lookOf(projectId);
    return { kind, projectId, recipient, locale, variables: { site, email: recipient, name, ...look, ...more } };
  }
}

function inWords({ provider, name }: LinkedIdentity): { provider: string; identity: string } {
  return { provider: asWords(provider), identity: asWords(name) || '-' };
}

/** The longest name in a mail, in characters. */
const longest = 64;
/** The most names of sessions in a mail. */
const mostNames = 5;

// Also the spellings of a dot that NFKC does not turn into one.
const joiningSigns = /[.。:/\\@]+(?=\p{DI}*[\p{L}\p{N}[+])/gu;

/**
 * A name chosen by a user, as it may appear in our mails: on one line, of limited length, and without anything that a mail
 * program turns into a link. Attack: a user named `evil.example` would have us send other people a link to that site.
 */
function asWords(typed: string): string {
  const words = typed
    .normalize('NFKC')
    .replace(/\p{Bidi_Control}/gu, '')
    .replace(joiningSigns, ' ')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  const characters = [...words];
  return characters.length > longest ? `${characters.slice(0, longest).join('')}…` : words;
}
