import type { EntityManager } from '@mikro-orm/postgresql';
import { Refusal } from '../../errors.ts';
import type { User } from '../../user/user.ts';
import { randomDisplayCode } from '../account.ts';
import { firstPlan, type TrialRules, withoutTrial } from '../billing/subscription.ts';
import { draftAccount, type NewAccount, openAccount, withFreeCode } from '../open-account.ts';
import { type TakenCode, takeInviteCode } from './invite-code.ts';
import { joinByInvite, type TakenInvite, takeAccountInvite } from './take-invite.ts';

export interface JoiningRules extends TrialRules {
  readonly requireInviteCode: boolean;
}

/** The codes a registration came with. Each is empty when it came without. */
export interface Invitation {
  readonly projectId: string;
  readonly email: string;
  readonly accountInviteCode: string;
  readonly inviteCode: string;
}

/** What a registration was admitted with. */
export type Admission =
  | { readonly invite: TakenInvite }
  /** Undefined where no code was needed. */
  | { readonly code: TakenCode | undefined };

/** Whether the new user has shown that they read the mail to their address. */
export function provesMailbox(admission: Admission): boolean {
  return 'invite' in admission && admission.invite.provesMailbox;
}

/** How a new user comes to an account: into an existing one by invitation, or as the owner of a new one. */
export class Joining {
  readonly #rules: JoiningRules;
  readonly #newDisplayCode: () => string;

  constructor(rules: JoiningRules, newDisplayCode: () => string = randomDisplayCode) {
    this.#rules = rules;
    this.#newDisplayCode = newDisplayCode;
  }

  /** Whether nobody registers without a code. */
  get requiresInviteCode(): boolean {
    return this.#rules.requireInviteCode;
  }

  /**
   * Takes the code. Call it before the user is created, so that a refused code is reported before a taken address. The
   * code is locked until the transaction ends, and a transaction that fails does not use it up.
   */
  async admit(em: EntityManager, invitation: Invitation, now: Date): Promise<Admission> {
    const { projectId, email, accountInviteCode, inviteCode } = invitation;
    if (accountInviteCode)
      return { invite: await takeAccountInvite(em, { projectId, email, code: accountInviteCode }, now) };
    if (inviteCode) return { code: await takeInviteCode(em, projectId, inviteCode, now) };
    return this.admitWithoutCode();
  }

  /** Throws INVITE_CODE_REQUIRED where nobody registers without a code. */
  admitWithoutCode(): { readonly code: undefined } {
    if (this.#rules.requireInviteCode) throw new Refusal('INVITE_CODE_REQUIRED');
    return { code: undefined };
  }

  /** Call it after the user is created, in the same transaction. */
  async join(em: EntityManager, user: User, admission: Admission, now: Date): Promise<void> {
    if ('invite' in admission) await joinByInvite(em, { userId: user.id, invite: admission.invite }, now);
    else await this.#open(em, user, admission.code, now);
  }

  /** Opens an account for a user whom a backend has created: no code is needed. */
  async open(em: EntityManager, user: User, now: Date): Promise<void> {
    await this.#open(em, user, undefined, now);
  }

  /** Opens an account for a user who has left their last one. Without a trial, or leaving would start a new one each time. */
  async rehome(em: EntityManager, user: User, now: Date): Promise<void> {
    await openAccount(em, user, withoutTrial(this.#rules.trialPlan), now, { newCode: this.#newDisplayCode });
  }

  /** Sends the statement that creates a user together with their account. Returns its row. */
  create<Row>(
    user: User,
    code: TakenCode | undefined,
    now: Date,
    send: (account: NewAccount) => Promise<Row[]>,
  ): Promise<Row> {
    const draft = draftAccount(user, firstPlan(this.#rules, code, now), code?.id ?? null, now);
    return withFreeCode(this.#newDisplayCode, (displayCode) => send({ ...draft, displayCode, now }));
  }

  #open(em: EntityManager, user: User, code: TakenCode | undefined, now: Date): Promise<string> {
    const options = { inviteCodeId: code?.id ?? null, newCode: this.#newDisplayCode };
    return openAccount(em, user, firstPlan(this.#rules, code, now), now, options);
  }
}
