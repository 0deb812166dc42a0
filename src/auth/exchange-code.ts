import { createHash, timingSafeEqual } from 'node:crypto';
import type { ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { Refusal } from '../errors.ts';
import type { CodeChallenge } from '../one-time/flow.ts';
import { consume, look } from '../one-time/token.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { linkAndSignIn, linkToMessage } from './oauth/identity-sign-in.ts';
import { openSignIn, signInToMessage } from './open-sign-in.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'exchangeCode'>;

const kind = 'auth_code';

export function exchangeCode(deps: AuthDeps): Methods {
  const { now, oauth } = deps;
  return {
    async exchangeCode({ exchangeCode: raw, codeVerifier, trustedDeviceToken }, context) {
      const at = now();
      const value = { projectId: projectOf(context), raw };
      const seen = await look(autocommit(context), kind, value, at);
      if (!seen?.is_good) throw refused(seen?.state);
      // Before the code is used: somebody who has only seen the code cannot use it up.
      if (!isVerifier(seen.flow?.challenge, codeVerifier)) throw new Refusal('CODE_VERIFIER_MISMATCH');
      const { link, providerTokens } = oauth.exchanges.open(seen.user_id, seen.flow?.sealed);
      const use = async (em: EntityManager) => {
        const used = await consume(em, kind, value, at);
        if (!used) throw refused('used');
        return used;
      };
      if (link) {
        const complete = async (em: EntityManager) => {
          await use(em);
          return linkAndSignIn(em, deps, { ...link, kind: 'web', trustedDeviceToken }, context, at);
        };
        const linked = await change(context, complete, { onBehalfOf: link.session });
        return { ...linkToMessage(deps, linked, at), providerTokens };
      }
      const signIn = async (em: EntityManager) => {
        const used = await use(em);
        const user = await lockUser(em, value.projectId, used.user_id);
        const proof = { user, kind: 'web', method: used.flow?.method ?? 'otp', trustedDeviceToken } as const;
        return openSignIn(em, deps, proof, context, at);
      };
      const signedIn = await change(context, signIn, { users: [seen.user_id] });
      return { ...signInToMessage(deps, signedIn, at), providerTokens };
    },
  };
}

/** Whether the challenge follows from the verifier (RFC 7636, section 4.6). */
function isVerifier(challenge: CodeChallenge | undefined, verifier: string): boolean {
  if (!challenge) return false;
  const hash = createHash('sha256').update(verifier).digest('base64url');
  const [expected, found] = [challenge.value, challenge.method === 'plain' ? verifier : hash].map((each) =>
    createHash('sha256').update(each).digest(),
  );
  return timingSafeEqual(expected!, found!);
}

function refused(state: string | undefined): Refusal {
  const event = { action: 'auth.login_failed', cause: 'exchange_code' } as const;
  return new Refusal('EXCHANGE_CODE_INVALID', { ...(state && { metadata: { state } }), event });
}
