import type { EntityManager } from '@mikro-orm/postgresql';
import type { Addressee, Messages } from '../mail/mail-messages.ts';
import type { Outbox } from '../mail/outbox.ts';
import type { MailedCodes } from '../one-time/code.ts';
import type { OneTimeKind } from '../one-time/secret.ts';
import { issue } from '../one-time/token.ts';
import { deviceName } from '../session/message.ts';
import type { Session } from '../session/session.ts';
import { emailKey } from '../user/email.ts';
import type { UserRow } from '../user/user.ts';

/** Somebody a one-time value is for, and where it goes. */
export interface Recipient extends Addressee {
  readonly userId: string;
}

/** Stands for whoever gets nothing: all work is done for them too, so that its absence cannot be seen. */
export const nobody = '00000000-0000-0000-0000-000000000000';

/** Writes to users: one-time values with the mail that takes them there, and notices. */
export class UserMail {
  readonly #outbox: Outbox;
  readonly #lifetimes: Readonly<Record<OneTimeKind, number>>;
  readonly #messages: Messages;
  readonly #codes: MailedCodes;

  constructor(
    outbox: Outbox,
    messages: Messages,
    codes: MailedCodes,
    lifetimes: Readonly<Record<OneTimeKind, number>>,
  ) {
    this.#outbox = outbox;
    this.#codes = codes;
    this.#lifetimes = lifetimes;
    this.#messages = messages;
  }

  /** Nothing that is enqueued will ever leave. */
  get areOff(): boolean {
    return this.#outbox.isOff;
  }

  /**
   * Issues a value, voids the older ones of its kind and enqueues the mail, in the caller's transaction. With the nonce of
   * the client that asks for it the mail also holds a code.
   */
  async send(
    em: EntityManager,
    kind: OneTimeKind,
    to: Recipient | undefined,
    now: Date,
    clientNonce = '',
  ): Promise<void> {
    const { projectId, userId, email } = to ?? emptyRecipient;
    const lifetime = this.#lifetimes[kind];
    const about = { projectId, kind, target: emailKey(email) };
    const { raw: code, ...hashes } = clientNonce ? this.#codes.mint({ ...about, clientNonce }) : {};
    const issued = await issue(em, { ...about, ...hashes, userId, lifetime }, now);
    await this.#outbox.enqueue(em, this.#wordsFor(kind, to ?? emptyRecipient, { ...issued, code, lifetime }), now);
  }

  async tellPasswordChanged(em: EntityManager, to: Addressee, now: Date): Promise<void> {
    await this.#outbox.enqueue(em, this.#messages.passwordChanged(to, now), now);
  }

  async tellEmailChanged(em: EntityManager, to: Addressee, now: Date): Promise<void> {
    await this.#outbox.enqueue(em, this.#messages.emailChanged(to, now), now);
  }

  async tellEmailChangeRequested(em: EntityManager, to: Addressee, now: Date): Promise<void> {
    await this.#outbox.enqueue(em, this.#messages.emailChangeNotice(to), now);
  }

  /** The row of the mail about a sign-in, for the statement that opens the session. Null where there is no mail. */
  draftNewDevice(to: Addressee, { address, userAgent }: Session, now: Date): string | null {
    const seen = { at: now, address, device: deviceName(userAgent) };
    return this.#outbox.draft(this.#messages.newDevice(to, seen), now);
  }

  /** Nobody is told at the same cost. */
  async tellAlreadyRegistered(em: EntityManager, to: Addressee | undefined, now: Date): Promise<void> {
    const message = this.#messages.alreadyRegistered(to ?? emptyRecipient);
    await this.#outbox.enqueue(em, to ? message : { ...message, tokenId: nobody }, now);
  }

  #wordsFor(kind: OneTimeKind, ...to: Parameters<Messages['verification']>) {
    switch (kind) {
      case 'email_verification':
        return this.#messages.verification(...to);
      case 'password_reset':
        return this.#messages.passwordReset(...to);
      case 'email_change':
        return this.#messages.emailChange(...to);
      case 'magic_link':
        return this.#messages.magicLink(...to);
    }
  }
}

const emptyRecipient: Recipient = { userId: nobody, projectId: nobody, email: '', name: '', locale: '' };

/** Where a user's own mail goes. */
export function recipientOf({ id, projectId, email, name, locale }: UserRow): Recipient {
  return { userId: id, projectId, email: email ?? '', name, locale };
}
