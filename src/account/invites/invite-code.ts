import { randomBytes } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { statement } from '../../database/statement.ts';
import { uuidv7 } from '../../database/uuid.ts';
import { Refusal } from '../../errors.ts';
import { Project } from '../../project/project.ts';
import { User } from '../../user/user.ts';

const InviteCodeTable = defineEntity({
  name: 'InviteCode',
  tableName: 'invite_codes',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    code: p.string().length(64),
    assignedPlan: p.string().length(64).nullable(),
    trialDurationDays: p.integer().nullable(),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3).nullable(),
    usedAt: p.datetime(3).nullable(),
    usedBy: () => p.manyToOne(User).mapToPk().fieldName('used_by').nullable(),
  },
  uniques: [{ name: 'invite_codes_key', properties: ['projectId', 'code'] }],
  indexes: [{ name: 'invite_codes_list', properties: ['projectId', 'id'] }],
});

export interface InviteCodeDraft {
  readonly projectId: string;
  /** Made here when empty. */
  readonly code: string;
  readonly assignedPlan: string | null;
  readonly trialDurationDays: number | null;
  readonly expiresAt: Date | null;
}

/** A code that lets one person register. Operators pass it on and look it up again, so it is kept as it is. */
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

/** An invite code that the transaction under way has taken. */
export type TakenCode = Pick<InviteCode, 'id' | 'assignedPlan' | 'trialDurationDays'>;

const take = statement<TakenCode>(
  'invite_code_take',
  `update invite_codes set used_at = $3
   where project_id = $1 and code = $2 and used_at is null and (expires_at is null or expires_at > $3)
   returning id, assigned_plan as "assignedPlan", trial_duration_days as "trialDurationDays"`,
);

const look = statement<{ used: boolean }>(
  'invite_code_look',
  'select used_at is not null as used from invite_codes where project_id = $1 and code = $2',
);

/** Takes a code, once, and holds its row until the transaction ends. Throws what is wrong with it for all others. */
export async function takeInviteCode(em: EntityManager, projectId: string, code: string, now: Date) {
  const spelled = code.trim().toUpperCase();
  const [taken] = await take(em, [projectId, spelled, now]);
  if (taken) return taken;
  const [state] = await look(em, [projectId, spelled]);
  if (!state) throw new Refusal('INVALID_INVITE_CODE');
  throw new Refusal(state.used ? 'INVITE_CODE_USED' : 'INVITE_CODE_EXPIRED');
}

/** Notes that a code that was taken is used up by whoever has the address already. */
export async function spendInviteCode(
  em: EntityManager,
  { id }: TakenCode,
  { projectId, emailKey }: { projectId: string; emailKey: string },
): Promise<void> {
  const holder = await em.findOneOrFail(User, { projectId, emailKey, deletedAt: null });
  await em.nativeUpdate(InviteCode, { id }, { usedBy: holder.id });
}

const list = statement<InviteCode>(
  'invite_codes_list',
  `select id, code, assigned_plan as "assignedPlan", trial_duration_days as "trialDurationDays", created_at as "createdAt",
     expires_at as "expiresAt", used_at as "usedAt", used_by as "usedBy"
   from invite_codes where project_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3`,
);

export function listInviteCodes(
  autocommit: Autocommit,
  projectId: string,
  page: { after: string | undefined; limit: number },
) {
  return list(autocommit, [projectId, page.after ?? null, page.limit]);
}
