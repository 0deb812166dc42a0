import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService, InviteCodeSchema } from '../../gen/gatehouse/v1/admin_pb.ts';
import { InviteCode, listInviteCodes } from '../account/invites/invite-code.ts';
import { audit } from '../audit/event.ts';
import type { Clock } from '../database/clock.ts';
import { insert } from '../database/insert.ts';
import { faultOf } from '../database/sqlstate.ts';
import { Refusal } from '../errors.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { pageOf } from '../rpc/paging.ts';

type Methods = Pick<ServiceImpl<typeof AdminService>, 'createInviteCode' | 'listInviteCodes'>;

export function inviteCodeMethods(now: Clock): Methods {
  return {
    async createInviteCode({ code, assignedPlan, trialDurationDays, lifetime }, context) {
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
      const made = InviteCode.draft(draft, at);
      await change(context, async (em) => {
        await insert(em, made).catch((error: unknown) => {
          throw faultOf(error) === 'unique' ? new Refusal('INVITE_CODE_EXISTS', { cause: error }) : error;
        });
        audit(em, context, { action: 'invite_code.create' }, at);
      });
      return { inviteCode: inviteCodeToMessage(made) };
    },

    async listInviteCodes(request, context) {
      const { rows, nextPageToken } = await pageOf(request, 'id', (page) =>
        listInviteCodes(autocommit(context), projectOf(context), page),
      );
      return { inviteCodes: rows.map(inviteCodeToMessage), nextPageToken };
    },
  };
}

function inviteCodeToMessage(each: InviteCode): MessageInitShape<typeof InviteCodeSchema> {
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
