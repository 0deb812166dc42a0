import type { EntityManager } from '@mikro-orm/postgresql';
import { rowsOf } from '../database/insert.ts';
import type { Addressee, LinkedIdentity, Messages } from '../mail/mail-messages.ts';
import type { Outbox } from '../mail/outbox.ts';
import type { MailedCodes } from '../one-time/code.ts';
import type { Flow } from '../one-time/flow.ts';
import { type DraftedToken, draftToken, issueDrafted } from '../one-time/issue.ts';
import type { MailedKind, OneTimeKind } from '../one-time/secret.ts';
import { deviceName } from '../session/device-name.ts';
import type { Session } from '../session/session.ts';
import { emailKey } from '../user/email.ts';
import type { UserRow } from '../user/user.ts';
import type { SiteLink, SiteLinks } from './site-link.ts';

/** A user to whom a one-time value is sent. */
export interface Recipient extends Addressee {
  readonly userId: string;
}

/** A one-time value to be mailed. */
export interface ValueMail {
  readonly kind: MailedKind;
  /** Undefined sends nothing, at the same cost. */
  readonly to: Recipient | undefined;
  /** The nonce of a client that wants a code in the mail as well as the link. */
  readonly clientNonce?: string | undefined;
  /** Where the link leads, when it does not lead to the pages of the application. The mail then has a code too. */
  readonly link?: SiteLink | undefined;
  readonly flow?: Pick<Flow, 'needsApproval' | 'newAddress' | 'isOfNewUser'> | undefined;
}

/** The rows of a mail with one-time values, as JSON. */
export interface FirstMail {
  readonly tokens: string;
  /** Null where mail is off. */
  readonly mail: string | null;
}

/** A one-time value that was issued, with what stands for it. */
export interface IssuedValue {
  /** The row's id. */
  readonly id: string;
  readonly raw: string;
  readonly code: string | undefined;
  /** Seconds. */
  readonly lifetime: number;
  /** The link, when it does not lead to the pages of the application. */
  readonly url: string | undefined;
}

/**
 * Takes the place of the nonce for a code that any client may type. No client can send it as a nonce, which has 22
 * characters or more.
 */
export const anyClient = 'any client';

/** Seconds that a link to the site, and the code beside it, are valid at least. */
const siteLifetime = 3600;

/** The id of a user who does not exist. Statements run with it find nothing to write, but cost the same. */
export const nobody = '00000000-0000-0000-0000-000000000000';

/** Mails to users: one-time values with the mail that holds them, and notices. Each is part of the caller's transaction. */
export class UserMail {
  readonly links: SiteLinks;
  readonly #outbox: Outbox;
  readonly #lifetimes: Readonly<Record<OneTimeKind, number>>;
  readonly #messages: Messages;
  readonly #codes: MailedCodes;

  constructor(
    outbox: Outbox,
    messages: Messages,
    codes: MailedCodes,
    { links, lifetimes }: { links: SiteLinks; lifetimes: Readonly<Record<OneTimeKind, number>> },
  ) {
    this.links = links;
    this.#outbox = outbox;
    this.#codes = codes;
    this.#lifetimes = lifetimes;
    this.#messages = messages;
  }

  /** Whether no mail is ever sent. */
  get isOff(): boolean {
    return this.#outbox.isOff;
  }

  /** Issues a value, voids the older ones of its kind and enqueues the mail. */
  async send(em: EntityManager, mail: ValueMail, now: Date): Promise<void> {
    const { values, message } = this.#compose(mail, now);
    for (const value of values) await issueDrafted(em, value);
    await this.#outbox.enqueue(em, message, now);
  }

  /** The rows that `send` inserts, for a statement that creates the recipient as well. */
  draftFirst(mail: ValueMail, now: Date): FirstMail {
    const { values, message } = this.#compose(mail, now);
    return { tokens: rowsOf(values.map(({ token }) => token)), mail: this.#outbox.draft(message, now) };
  }

  /** Call it when the statement has run. */
  announceFirst(): void {
    this.#outbox.announce();
  }

  /** Issues a value with a code and a link that nobody is sent: the caller hands them out. */
  async handOut(em: EntityManager, mail: ValueMail & { readonly link: SiteLink }, now: Date): Promise<IssuedValue> {
    const { drafted, issued } = this.#draft(mail, true, now);
    await issueDrafted(em, drafted);
    return issued;
  }

  #compose(mail: ValueMail, now: Date) {
    const { kind, to = emptyRecipient } = mail;
    const { drafted, issued } = this.#draft(mail, false, now);
    const { url: link, ...first } = issued;
    const rejection = kind === 'email_verification' ? this.#draftRejection(to, first.id, now) : undefined;
    const about = { ...first, userId: to.userId, rejection: rejection?.raw, link };
    return { values: rejection ? [drafted, rejection] : [drafted], message: this.#messageOf(kind, to, about) };
  }

  #draft(mail: ValueMail, isHandedOut: boolean, now: Date): { drafted: DraftedToken; issued: IssuedValue } {
    const { kind, to = emptyRecipient, link } = mail;
    const { projectId, userId, email } = to;
    const clientNonce = link || kind === 'reauthentication' ? anyClient : mail.clientNonce;
    const lifetime = Math.max(this.#lifetimes[kind], link ? siteLifetime : 0);
    const about = { projectId, kind, target: emailKey(email) };
    const { raw: code, ...hashes } = clientNonce ? this.#codes.mint({ ...about, clientNonce }) : {};
    const flow: Flow | undefined = link && { ...mail.flow, challenge: link.challenge };
    const drafted = draftToken({ ...about, ...hashes, userId, lifetime, flow, isHandedOut }, now);
    const { raw, token } = drafted;
    return { drafted, issued: { id: token.id, raw, code, lifetime, url: link && this.links.urlOf(kind, raw, link) } };
  }

  async notifyPasswordChanged(em: EntityManager, to: Addressee, now: Date): Promise<void> {
    await this.#outbox.enqueue(em, this.#messages.passwordChanged(to, now), now);
  }

  async notifyIdentity(
    em: EntityManager,
    to: Addressee,
    identity: LinkedIdentity,
    change: 'linked' | 'unlinked',
    now: Date,
  ): Promise<void> {
    const draft = change === 'linked' ? 'identityLinked' : 'identityUnlinked';
    await this.#outbox.enqueue(em, this.#messages[draft](to, identity, now), now);
  }

  async notifyEmailChanged(em: EntityManager, to: Addressee, now: Date): Promise<void> {
    await this.#outbox.enqueue(em, this.#messages.emailChanged(to, now), now);
  }

  async notifyEmailChangeRequested(em: EntityManager, to: Addressee, now: Date): Promise<void> {
    await this.#outbox.enqueue(em, this.#messages.emailChangeNotice(to), now);
  }

  /** Without a recipient it sends nothing, at the same cost. */
  async notifyAlreadyRegistered(em: EntityManager, to: Addressee | undefined, now: Date): Promise<void> {
    // The mail to a free address has this value, so the response time would reveal its absence. For nobody none is issued.
    await issueDrafted(em, this.#draftRejection(emptyRecipient, nobody, now));
    const message = this.#messages.alreadyRegistered(to ?? emptyRecipient);
    await this.#outbox.enqueue(em, to ? message : { ...message, tokenId: nobody }, now);
  }

  /** The row of the mail about a sign-in, for the statement that opens the session. Null where mail is off. */
  draftNewDevice(to: Addressee, { address, userAgent }: Session, now: Date): string | null {
    const seen = { at: now, address, device: deviceName(userAgent) };
    return this.#outbox.draft(this.#messages.newDevice(to, seen), now);
  }

  /** The value of the second link in a verification mail, for an owner of the address who did not register. */
  #draftRejection({ projectId, userId, email }: Recipient, firstId: string, now: Date): DraftedToken {
    const kind = 'registration_rejection';
    const lifetime = this.#lifetimes[kind];
    return draftToken({ projectId, userId, kind, target: emailKey(email), lifetime, firstId }, now);
  }

  #messageOf(kind: MailedKind, ...to: Parameters<Messages['verification']>) {
    switch (kind) {
      case 'email_verification':
        return this.#messages.verification(...to);
      case 'password_reset':
        return this.#messages.passwordReset(...to);
      case 'email_change':
        return this.#messages.emailChange(...to);
      case 'magic_link':
        return this.#messages.magicLink(...to);
      case 'email_change_approval':
        return this.#messages.emailChangeApproval(...to);
      case 'invite':
        return this.#messages.invite(...to);
      case 'reauthentication':
        return this.#messages.reauthentication(...to);
    }
  }
}

const emptyRecipient: Recipient = { userId: nobody, projectId: nobody, email: '', name: '', locale: '' };

/** A user as the recipient of mail to their own address. */
export function recipientOf({ id, projectId, email, name, locale }: UserRow): Recipient {
  return { userId: id, projectId, email: email ?? '', name, locale };
}
