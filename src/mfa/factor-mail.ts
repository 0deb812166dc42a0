import type { EntityManager } from '@mikro-orm/postgresql';
import type { Addressee, Messages } from '../mail/mail-messages.ts';
import type { Outbox } from '../mail/outbox.ts';
import type { Origin } from '../rpc/origin.ts';
import { deviceName } from '../session/device-name.ts';
import type { LowerSession } from '../session/elevation.ts';
import type { UserRow } from '../user/user.ts';
import type { FactorRow } from './factor.ts';

type NamedFactor = Pick<FactorRow, 'type' | 'friendlyName'>;

/** Notices about factors. Each is part of the caller's transaction. */
export class FactorMail {
  readonly #outbox: Outbox;
  readonly #messages: Messages;

  constructor(outbox: Outbox, messages: Messages) {
    this.#outbox = outbox;
    this.#messages = messages;
  }

  /** A factor counts from now on, and these sessions were revoked. */
  async enrolled(
    em: EntityManager,
    user: UserRow,
    { factor, revoked }: { factor: NamedFactor; revoked: readonly LowerSession[] },
    now: Date,
  ): Promise<void> {
    const names = revoked.map(({ userAgent }) => deviceName(userAgent));
    await this.#send(em, user, (to) => this.#messages.factorEnrolled(to, nameOf(factor), names, now), now);
  }

  async removed(em: EntityManager, user: UserRow, factor: NamedFactor, now: Date): Promise<void> {
    await this.#send(em, user, (to) => this.#messages.factorRemoved(to, nameOf(factor), now), now);
  }

  /** An operator or a backend has removed all factors. */
  async allRemoved(em: EntityManager, user: UserRow, now: Date): Promise<void> {
    await this.#send(em, user, (to) => this.#messages.factorsReset(to, now), now);
  }

  async codesCreated(em: EntityManager, user: UserRow, now: Date): Promise<void> {
    await this.#send(em, user, (to) => this.#messages.recoveryCodesCreated(to, now), now);
  }

  async codeUsed(
    em: EntityManager,
    user: UserRow,
    { remaining, origin }: { remaining: number; origin: Origin },
    now: Date,
  ): Promise<void> {
    await this.#send(em, user, (to) => this.#messages.recoveryCodeUsed(to, remaining, seenAt(origin, now)), now);
  }

  async passkeyAdded(em: EntityManager, user: UserRow, passkey: NamedFactor, now: Date): Promise<void> {
    await this.#send(em, user, (to) => this.#messages.passkeyAdded(to, nameOf(passkey), now), now);
  }

  async passkeyRemoved(em: EntityManager, user: UserRow, passkey: NamedFactor, now: Date): Promise<void> {
    await this.#send(em, user, (to) => this.#messages.passkeyRemoved(to, nameOf(passkey), now), now);
  }

  /** The counter of a security key or passkey has not grown: a copy of its key may exist. */
  async keyCopied(
    em: EntityManager,
    user: UserRow,
    { factor, origin }: { factor: NamedFactor; origin: Origin },
    now: Date,
  ): Promise<void> {
    await this.#send(em, user, (to) => this.#messages.keyCopied(to, nameOf(factor), seenAt(origin, now)), now);
  }

  /** Codes of the factor are refused for now, since too many were wrong. */
  async failed(
    em: EntityManager,
    user: UserRow,
    { factor, origin }: { factor: NamedFactor; origin: Origin },
    now: Date,
  ): Promise<void> {
    await this.#send(em, user, (to) => this.#messages.factorFailed(to, nameOf(factor), seenAt(origin, now)), now);
  }

  async #send(
    em: EntityManager,
    { projectId, email, name, locale }: UserRow,
    compose: (to: Addressee) => ReturnType<Messages['factorsReset']>,
    now: Date,
  ): Promise<void> {
    if (email) await this.#outbox.enqueue(em, compose({ projectId, email, name, locale }), now);
  }
}

const products = {
  totp: 'Authenticator',
  webauthn: 'WebAuthn',
  passkey: 'Passkey',
  recovery_code: 'Recovery codes',
} as const;

/** What the user calls the factor. */
function nameOf({ type, friendlyName }: NamedFactor): string {
  return friendlyName || products[type];
}

function seenAt({ address, userAgent }: Origin, at: Date) {
  return { at, address, device: deviceName(userAgent) };
}
