import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { InviteCodeSchema } from '../../gen/gatehouse/v1/admin_pb.ts';
import { InviteCode } from '../account/invites/invite-code.ts';
import { audit } from '../audit/event.ts';
import { insert } from '../database/insert.ts';
import { faultOf } from '../database/sqlstate.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, change, projectOf, reads } from '../rpc/context.ts';
import type { Page } from '../rpc/paging.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';

export function createInviteCode({ now, requestIds }: AdminDeps): AdminMethods['createInviteCode'] {
  return async (request, context) => {
    const { code, assignedPlan, trialDurationDays, lifetime } = request;
    if (trialDurationDays && !assignedPlan)
      throw new Refusal('INVALID_ARGUMENT', {
        fields: [{ field: 'trial_duration_days', description: 'only together with assigned_plan' }],
      });
    const at = now();
    const draft = {
      projectId: projectOf(context),
      code,
      assignedPlan: assignedPlan || null,
      trialDurationDays: trialDurationDays || null,
      expiresAt: lifetime ? new Date(at.getTime() + durationMs(lifetime)) : null,
    };
    const create = async (em: EntityManager): Promise<InviteCode> => {
      const created = InviteCode.draft(draft, at);
      await insert(em, created).catch((error: unknown) => {
        throw faultOf(error) === 'unique' ? new Refusal('INVITE_CODE_EXISTS', { cause: error }) : error;
      });
      audit(em, context, { action: 'invite_code.create', entityId: created.id }, at);
      return created;
    };
    const { projectId } = draft;
    const inviteCode = await requestIds.once<InviteCode, { id: string }>(context, request, {
      run: (recorded) =>
        change(context, (em) =>
          recorded(
            em,
            () => create(em),
            ({ id }) => ({ id }),
          ),
        ),
      repeat: ({ id }) => reads(context).findOneOrFail(InviteCode, { id, projectId }),
    });
    return { inviteCode: toMessage(inviteCode) };
  };
}

const codesOf = statement<InviteCode, Page & { projectId: string }>(
  'invite_codes_list',
  `select id, code, assigned_plan as "assignedPlan", trial_duration_days as "trialDurationDays", created_at as "createdAt",
     expires_at as "expiresAt", used_at as "usedAt", used_by as "usedBy"
   from invite_codes where project_id = :projectId and (:after::uuid is null or id < :after) order by id desc limit :limit`,
);

export function listInviteCodes({ paging }: AdminDeps): AdminMethods['listInviteCodes'] {
  return async (request, context) => {
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, (page) =>
      codesOf(autocommit(context), { projectId: projectOf(context), ...page }),
    );
    return { inviteCodes: rows.map(toMessage), nextPageToken };
  };
}

function toMessage(each: InviteCode): MessageInitShape<typeof InviteCodeSchema> {
  return {
    id: each.id,
    code: each.code,
    assignedPlan: each.assignedPlan ?? '',
    trialDurationDays: each.trialDurationDays ?? 0,
    createTime: timestampFromDate(each.createdAt),
    ...(each.expiresAt && { expireTime: timestampFromDate(each.expiresAt) }),
    ...(each.usedAt && { useTime: timestampFromDate(each.usedAt) }),
    usedBy: each.usedBy ?? '',
  };
}
