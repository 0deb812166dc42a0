import { asWords } from './typed-name.ts';

/** The mails there are. Each has a text of its name in every language. */
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
  | 'new_device';

/** A mail before anybody has put it into words. */
export interface Message {
  readonly kind: MailKind;
  readonly projectId: string;
  readonly recipient: string;
  /** A BCP 47 tag, or nothing: the language that the user has chosen. */
  readonly locale: string;
  /** The one-time value, or the invitation, without which the mail is not sent. */
  readonly tokenId?: string;
  /** What stands for the placeholders of the text. */
  readonly variables: Readonly<Record<string, string>>;
}

/** Whom a mail goes to. */
export interface Addressee {
  readonly projectId: string;
  readonly email: string;
  readonly name: string;
  readonly locale: string;
}

/** A one-time value on its way to who may use it. */
export interface Passed {
  readonly id: string;
  readonly raw: string;
  /** What stands for it where it cannot be clicked. */
  readonly code?: string | undefined;
  /** Seconds. */
  readonly lifetime: number;
}

/** An invitation into an account on its way to who may accept it. */
interface Invitation {
  readonly id: string;
  readonly code: string;
  /** What the account and who invites call themselves. */
  readonly account: string;
  readonly inviter: string;
  readonly expiresAt: Date;
}

/** Where a sign-in came from. */
interface SeenDevice {
  readonly at: Date;
  readonly address: string;
  /** As it names itself. */
  readonly device: string;
}

/** Every mail with its own function. Links begin with what the configuration says, never with anything of a request. */
export class Messages {
  readonly #frontendUrl: string;

  constructor(frontendUrl: string) {
    this.#frontendUrl = frontendUrl;
  }

  verification(to: Addressee, value: Passed): Message {
    return this.#withLink('verification', 'verify-email', to, value);
  }

  passwordReset(to: Addressee, value: Passed): Message {
    return this.#withLink('password_reset', 'reset-password', to, value);
  }

  magicLink(to: Addressee, value: Passed): Message {
    return this.#withLink('magic_link', 'magic-link', to, value);
  }

  /** Goes to the new address. */
  emailChange(to: Addressee, value: Passed): Message {
    return this.#withLink('email_change', 'confirm-email-change', to, value);
  }

  /** Goes to the old address, which does not learn the new one: it may belong to who was locked out of it. */
  emailChangeNotice(to: Addressee): Message {
    return this.#plain('email_change_notice', to);
  }

  /** Goes to the address that was left. */
  emailChanged(to: Addressee, at: Date): Message {
    return this.#plain('email_changed', to, { time: at.toISOString() });
  }

  passwordChanged(to: Addressee, at: Date): Message {
    return this.#plain('password_changed', to, { time: at.toISOString() });
  }

  alreadyRegistered(to: Addressee): Message {
    return this.#plain('already_registered', to);
  }

  /** Whoever signs in chooses what their program is called. */
  newDevice(to: Addressee, { at, address, device }: SeenDevice): Message {
    return this.#plain('new_device', to, { time: at.toISOString(), address, device: asWords(device) || '-' });
  }

  /** May go to somebody who has never heard of us: of the names in it no more is left than words. */
  invitation(to: Addressee, { id, code, account, inviter, expiresAt }: Invitation): Message {
    const names = { account: asWords(account), inviter: asWords(inviter) };
    const more = { ...names, link: this.invitationLink(code), time: expiresAt.toISOString() };
    return { ...this.#plain('account_invite', to, more), tokenId: id };
  }

  invitationLink(code: string): string {
    return `${this.#frontendUrl}/invite?account_invite_code=${encodeURIComponent(code)}`;
  }

  #withLink(kind: MailKind, page: string, to: Addressee, { id, raw, code, lifetime }: Passed): Message {
    const link = `${this.#frontendUrl}/${page}?token=${encodeURIComponent(raw)}`;
    return { ...this.#plain(kind, to, { link, lifetime: `${lifetime}`, ...(code && { code }) }), tokenId: id };
  }

  #plain(kind: MailKind, to: Addressee, more: Record<string, string> = {}): Message {
    const { projectId, email: recipient, name, locale } = to;
    const site = new URL(this.#frontendUrl).host;
    return { kind, projectId, recipient, locale, variables: { site, email: recipient, name, ...more } };
  }
}
