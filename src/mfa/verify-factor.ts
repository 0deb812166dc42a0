import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import { caller, change, origin } from '../rpc/context.ts';
import { elevateSession, revokeLowerSessions } from '../session/elevation.ts';
import { sessionToMessage } from '../session/message.ts';
import { forgetDevices, trustDevice } from '../session/trusted-device.ts';
import { lockUser, type User } from '../user/user.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { counts, deleteFactors, type FactorRow, factorsOf } from './factor.ts';
import { factorToMessage } from './message.ts';
import { requireOwnFactor } from './own-factor.ts';
import { judgeProof, spendProof } from './proof.ts';

export function verifyFactor(deps: MfaDeps): MfaMethods['verifyFactor'] {
  const { now, opener, factorMail, trustedDeviceDays } = deps;
  return async ({ factorId, challengeId, proof, trustDevice: isToBeTrusted }, context) => {
    const { projectId, userId, sessionId } = caller(context);
    const factor = await requireOwnFactor(context, factorId);
    const challenge = { id: challengeId, userId, sessionId, factorId: factor.id, purpose: 'verify' } as const;
    const proved = await judgeProof(deps, { factor, challenge, proof }, context);
    const at = now();
    const { raised, trusted } = await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      const { wasVerified } = await spendProof(em, deps, proved, context, at);
      if (!wasVerified) await activate(em, user, factor);
      const raised = await elevateSession(em, { userId, sessionId, factorId: factor.id, method: factor.type }, at);
      const revoked = await revokeLowerSessions(em, { userId, sessionId }, at);
      if (!wasVerified) await factorMail.enrolled(em, user, { factor, revoked }, at);
      audit(em, context, { action: 'factor.verify', entityId: factor.id }, at);
      const days = isToBeTrusted ? trustedDeviceDays : undefined;
      return { raised, trusted: days && (await trust(em, context, days, at)) };
    });
    const { subject, session, refreshToken } = raised;
    return {
      tokens: opener.tokensFor(subject, projectId, refreshToken, at),
      session: sessionToMessage(session, session.id),
      factor: factorToMessage({ ...factor, verifiedAt: factor.verifiedAt ?? at, lastUsedAt: at }),
      ...(trusted && {
        trustedDeviceToken: trusted.token,
        trustedDeviceExpireTime: timestampFromDate(trusted.expiresAt),
      }),
    };
  };
}

/** Trusts the caller's device. */
async function trust(em: EntityManager, context: HandlerContext, days: number, now: Date) {
  const { projectId, userId } = caller(context);
  const trusted = await trustDevice(em, { projectId, userId, origin: origin(context), days }, now);
  audit(em, context, { action: 'trusted_device.add', entityId: trusted.id }, now);
  return trusted;
}

/** Makes a factor count, and deletes the other enrolments of its kind that were not finished. */
async function activate(em: EntityManager, user: User, { id, type }: FactorRow): Promise<void> {
  if (counts(type)) user.factorCount += 1;
  await forgetDevices(em, { userId: user.id });
  const others = await factorsOf(em, user.id);
  const unfinished = others.filter((each) => each.type === type && each.id !== id && each.verifiedAt === null);
  await deleteFactors(
    em,
    user.id,
    unfinished.map((each) => each.id),
  );
}
