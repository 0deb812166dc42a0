import { audit } from '../audit/event.ts';
import { change, projectOf } from '../rpc/context.ts';
import { revokeSessions, revokeSessionsOfProject } from '../session/revocation.ts';
import { lockUser } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';

export function revokeUserSessions({ now }: AdminDeps): AdminMethods['revokeUserSessions'] {
  return async ({ whose }, context) => {
    const at = now();
    const projectId = projectOf(context);
    await change(
      context,
      async (em) => {
        if (whose.case !== 'userId') {
          await revokeSessionsOfProject(em, projectId);
          audit(em, context, { action: 'project.revoke_sessions' }, at);
          return;
        }
        const { id: userId } = await lockUser(em, projectId, whose.value);
        await revokeSessions(em, { userId }, 'operator', at);
        audit(em, context, { action: 'user.revoke_sessions', userId }, at);
      },
      whose.case === 'userId' ? { users: [whose.value] } : { isForEverybody: true },
    );
    return {};
  };
}
