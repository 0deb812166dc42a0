import { randomBytes } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import { statement } from '../../database/statement.ts';
import { uuidv7 } from '../../database/uuid.ts';
import { Refusal } from '../../errors.ts';
import { projectColumn } from '../../project/project.ts';
import { User } from '../../user/user.ts';

const InviteCodeTable = defineEntity({
  name: 'InviteCode',
  tableName: 'invite_codes',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    code: p.string().length(64),
    assignedPlan: p.string().length(64).nullable(),
    trialDurationDays: p.integer().nullable(),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3).nullable(),
    usedAt: p.datetime(3).nullable(),
    usedBy: () => p.manyToOne(User).mapToPk().fieldName('used_by').nullable(),
  },
  uniques: [{ name: 'invite_codes_key', properties: ['projectId', 'code'] }],
  indexes: [
    { name: 'invite_codes_list', properties: ['projectId', 'id'] },
    {
      name: 'invite_codes_expiry',
      properties: ['expiresAt'],
      expression: 'create index "invite_codes_expiry" on "invite_codes" ("expires_at") where "used_at" is null',
    },
  ],
});

export interface InviteCodeDraft {
  readonly projectId: string;
  /** Empty: a new one is drawn. */
  readonly code: string;
  readonly assignedPlan: string | null;
  readonly trialDurationDays: number | null;
  readonly expiresAt: Date | null;
}

/** A code that lets one person register. Stored in plain text: operators pass it on and look it up again. */
export class InviteCode extends InviteCodeTable.class {
  static draft({ code, ...draft }: InviteCodeDraft, now: Date): InviteCode {
    const id = uuidv7(now);
    return Object.assign(new InviteCode(), draft, { id, code: code.toUpperCase() || newCode(), createdAt: now });
  }
}
InviteCodeTable.setClass(InviteCode);

/** 80 random bits. */
function newCode(): string {
  return randomBytes(10)
    .toString('hex')
    .toUpperCase()
    .replace(/(.{5})(?=.)/g, '$1-');
}

/** An invite code that the current transaction has taken. */
export type TakenCode = Pick<InviteCode, 'id' | 'assignedPlan' | 'trialDurationDays'>;

interface Presented {
  readonly projectId: string;
  readonly code: string;
}

const take = statement<TakenCode, Presented & { now: Date }>(
  'invite_code_take',
  `update invite_codes set used_at = :now
   where project_id = :projectId and code = :code and used_at is null and (expires_at is null or expires_at > :now)
   returning id, assigned_plan as "assignedPlan", trial_duration_days as "trialDurationDays"`,
);

const look = statement<{ used: boolean }, Presented>(
  'invite_code_look',
  'select used_at is not null as used from invite_codes where project_id = :projectId and code = :code',
);

/**
 * Takes a code, once, and locks its row until the transaction ends. Throws INVALID_INVITE_CODE, INVITE_CODE_USED or
 * INVITE_CODE_EXPIRED.
 */
export async function takeInviteCode(em: EntityManager, projectId: string, code: string, now: Date) {
  const presented = { projectId, code: code.trim().toUpperCase() };
  const [taken] = await take(em, { ...presented, now });
  if (taken) return taken;
  const [state] = await look(em, presented);
  if (!state) throw new Refusal('INVALID_INVITE_CODE');
  throw new Refusal(state.used ? 'INVITE_CODE_USED' : 'INVITE_CODE_EXPIRED');
}

/** Records the user who has the address already as the user of a code that was taken: the code is used up. */
export async function spendInviteCode(
  em: EntityManager,
  { id }: TakenCode,
  { projectId, emailKey }: { projectId: string; emailKey: string },
): Promise<void> {
  const holder = await em.findOneOrFail(User, { projectId, emailKey, deletedAt: null });
  await em.nativeUpdate(InviteCode, { id }, { usedBy: holder.id });
}
