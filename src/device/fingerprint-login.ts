import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { change, projectOf } from '../rpc/context.ts';
import { advance } from './attempt.ts';
import type { Attempt } from './attempt-table.ts';
import { mintAuthCode } from './auth-code.ts';
import type { Possession } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { holdFingerprint, isClaimedByAnother } from './fingerprint-claim.ts';
import { stateToMessage } from './message.ts';
import { sessionCredential } from './minted-session.ts';
import { possessionOf, redeem } from './redemption.ts';
import { startAttempt } from './start-attempt.ts';

type Methods = Pick<DeviceMethods, 'startFingerprintLogin' | 'pollFingerprintLogin'>;

/** The side of the program: it starts a login and polls. */
export function fingerprintLogin(deps: DeviceDeps): Methods {
  const { now, keys, projects } = deps;
  return {
    async startFingerprintLogin({ fingerprintId, referralCode, clientName }, context) {
      const projectId = projectOf(context);
      const draft = {
        kind: 'fingerprint',
        clientName,
        mintCode: (attemptId: string, expiresAt: Date) =>
          mintAuthCode(keys, projectId, { attemptId, fingerprintId, expiresAt }),
        about: { fingerprintId },
      } as const;
      const started = await change(context, (em) => startAttempt(em, keys, context, draft, now()));
      const { attempt, code, pollingSecret } = started;
      const query = new URLSearchParams({ auth_code: code, ...(referralCode && { referral_code: referralCode }) });
      const { frontendUrl } = projects.of(projectId).settings;
      return {
        loginUrl: `${frontendUrl}/login?${query}`,
        pollingCode: pollingSecret,
        expireTime: timestampFromDate(attempt.expiresAt),
        interval: durationFromMs(attempt.pollInterval * 1000),
        comparisonNumber: attempt.comparison,
        fingerprintId,
      };
    },

    async pollFingerprintLogin({ pollingCode, clientNonce }, context) {
      const at = now();
      const polled = await deps.polls.poll(context, 'fingerprint', pollingCode, at);
      if (!polled) throw new Refusal('INVALID_POLLING_CODE');
      const { attempt } = polled;
      if (!attempt) return { state: stateToMessage(polled.state) };
      const possession = possessionOf(pollingCode, clientNonce);
      const credential = sessionOnMachine(deps, context, attempt, possession);
      const { state, response } = await redeem(context, { attempt, possession }, credential, at);
      return {
        state: stateToMessage(state),
        ...response,
        ...(response && { fingerprintId: fingerprintOf(attempt), message: 'Authentication successful!' }),
      };
    },
  };
}

/** A session that carries the fingerprint of the login, and so claims the machine. */
function sessionOnMachine(deps: DeviceDeps, context: HandlerContext, attempt: Attempt, possession: Possession) {
  const fingerprintId = fingerprintOf(attempt);
  const credential = sessionCredential(deps, context, possession, 'cli', fingerprintId);
  const mint: typeof credential.mint = async (em, user, id, found) => {
    const claim = { projectId: user.projectId, userId: user.id, fingerprintId };
    await holdFingerprint(em, claim);
    if (await isClaimedByAnother(em, claim, deps.now())) throw conflictThatEnds(deps, context, attempt, user.id);
    return credential.mint(em, user, id, found);
  };
  return { ...credential, mint };
}

/** The refusal of a redemption on a machine that another user has claimed since the confirmation. It ends the login. */
function conflictThatEnds({ now }: DeviceDeps, context: HandlerContext, attempt: Attempt, userId: string): Refusal {
  return new Refusal('OWNERSHIP_CONFLICT', {
    remember: (em) => advance(em, context, attempt, { event: 'cancel' }, now()),
    event: { action: 'device.conflict', entityId: attempt.id, userId },
  });
}

export function fingerprintOf({ about }: Attempt): string {
  return String(about.fingerprintId);
}
