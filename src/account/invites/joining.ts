import type { EntityManager } from '@mikro-orm/postgresql';
import { Refusal } from '../../errors.ts';
import type { User } from '../../user/user.ts';
import { openAccount, type Plan, randomDisplayCode } from '../account.ts';
import { joinByInvite, type TakenInvite, takeAccountInvite } from './invite.ts';
import { type TakenCode, takeInviteCode } from './invite-code.ts';

const dayMs = 86_400_000;

export interface JoiningRules {
  readonly requireInviteCode: boolean;
  readonly trialPlan: string;
  readonly trialDays: number;
}

/** What somebody who registers was given, each empty when nothing. */
export interface Invitation {
  readonly projectId: string;
  readonly email: string;
  readonly accountInviteCode: string;
  readonly inviteCode: string;
}

/** What was taken of it. */
export type Admission =
  | { readonly invite: TakenInvite }
  /** Without a code for who needs none. */
  | { readonly code: TakenCode | undefined };

/** How somebody who registers comes to an account: by invitation into one there is, or as the owner of a new one. */
export class Joining {
  readonly #rules: JoiningRules;
  readonly #newDisplayCode: () => string;

  constructor(rules: JoiningRules, newDisplayCode: () => string = randomDisplayCode) {
    this.#rules = rules;
    this.#newDisplayCode = newDisplayCode;
  }

  /**
   * Before the user is made, so that what is wrong with an invite is told first. What is taken here is held until the
   * transaction ends, and given back when it fails: a failed registration uses up nothing.
   */
  async admit(em: EntityManager, invitation: Invitation, now: Date): Promise<Admission> {
    const { projectId, email, accountInviteCode, inviteCode } = invitation;
    if (accountInviteCode)
      return { invite: await takeAccountInvite(em, { projectId, email, code: accountInviteCode }, now) };
    if (inviteCode) return { code: await takeInviteCode(em, projectId, inviteCode, now) };
    if (this.#rules.requireInviteCode) throw new Refusal('INVITE_CODE_REQUIRED');
    return { code: undefined };
  }

  /** After the user is made, in the same transaction. */
  async join(em: EntityManager, user: User, admission: Admission, now: Date): Promise<void> {
    if ('invite' in admission) await joinByInvite(em, user.id, admission.invite, now);
    else await this.#open(em, user, admission.code, now);
  }

  /** For somebody who needed no invitation: whom a backend has created. */
  open(em: EntityManager, user: User, now: Date): Promise<void> {
    return this.join(em, user, { code: undefined }, now);
  }

  /** For somebody who has left their only account. Without a trial, which would begin anew whenever they leave. */
  async rehome(em: EntityManager, user: User, now: Date): Promise<void> {
    const options = { newCode: this.#newDisplayCode };
    await openAccount(em, user, noTrial(this.#rules.trialPlan), now, options);
  }

  #open(em: EntityManager, user: User, code: TakenCode | undefined, now: Date): Promise<string> {
    const options = { inviteCodeId: code?.id ?? null, newCode: this.#newDisplayCode };
    return openAccount(em, user, this.#planOf(code, now), now, options);
  }

  #planOf(code: TakenCode | undefined, now: Date): Plan {
    const { trialPlan, trialDays } = this.#rules;
    if (!code?.assignedPlan) return trialDays ? trial(trialPlan, trialDays, now) : noTrial(trialPlan);
    if (code.trialDurationDays) return trial(code.assignedPlan, code.trialDurationDays, now);
    return { plan: code.assignedPlan, status: 'active', periodStart: null, periodEnd: null };
  }
}

function trial(plan: string, days: number, now: Date): Plan {
  return { plan, status: 'trialing', periodStart: now, periodEnd: new Date(now.getTime() + days * dayMs) };
}

/** Nothing but the plan's name. */
function noTrial(plan: string): Plan {
  return { plan, status: 'canceled', periodStart: null, periodEnd: null };
}
