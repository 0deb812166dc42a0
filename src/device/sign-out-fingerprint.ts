import { audit } from '../audit/event.ts';
import { change, projectOf } from '../rpc/context.ts';
import { readRefreshToken } from '../session/refresh-token.ts';
import { revokeByRefreshToken } from '../session/revocation.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';

/**
 * Revokes the session of a refresh token if it carries the fingerprint, which is then free. The response is the same for any
 * token.
 */
export function signOutFingerprint({ now, keys }: DeviceDeps): Pick<DeviceMethods, 'signOutFingerprint'> {
  return {
    async signOutFingerprint({ refreshToken, fingerprintId }, context) {
      const projectId = projectOf(context);
      const token = readRefreshToken(keys, projectId, refreshToken);
      if (!token) return {};
      await change(
        context,
        async (em) => {
          const revoked = await revokeByRefreshToken(em, projectId, token, now(), fingerprintId);
          if (revoked)
            audit(em, context, { action: 'auth.logout', userId: revoked.user_id, sessionId: revoked.id }, now());
        },
        { users: [token.userId], ignoresCaller: true },
      );
      return {};
    },
  };
}
