import type { EntityManager } from '@mikro-orm/postgresql';
import { FactorType as Type } from '../../gen/gatehouse/v1/factor_pb.ts';
import { audit } from '../audit/event.ts';
import { insert } from '../database/insert.ts';
import { Refusal } from '../errors.ts';
import { requireOwnSignIn } from '../rpc/assurance.ts';
import { caller, change } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import { requireVerifiedMailbox } from '../user/verified-mailbox.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { deleteFactors, Factor, factorsOf } from './factor.ts';
import { factorToMessage } from './message.ts';
import { newTotpSecret, sealSecret, shownSecret } from './totp.ts';

/** Factors that one user may have, recovery codes aside. */
const mostFactors = 10;
/** How long a factor may stay unverified. */
const unverifiedMs = 300_000;

export function enrollFactor(deps: MfaDeps): MfaMethods['enrollFactor'] {
  const { now, keys, projects } = deps;
  return async ({ type, friendlyName, issuer }, context) => {
    const by = caller(context);
    requireOwnSignIn(by);
    const { projectId, userId } = by;
    const at = now();
    const id = Factor.newId(at);
    const secret = type === Type.TOTP ? newTotpSecret() : undefined;
    const { factor, account } = await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      await requireVerifiedMailbox(em, deps, user);
      await makeRoom(em, userId, friendlyName, at);
      const sealed = secret && { secretSealed: sealSecret(keys, { id, userId }, secret) };
      const draft = { id, projectId, userId, type: secret ? 'totp' : 'webauthn', friendlyName, ...sealed } as const;
      const enrolled = Factor.enroll(draft, at);
      await insert(em, enrolled);
      audit(em, context, { action: 'factor.enroll', entityId: id }, at);
      return { factor: enrolled, account: user.email ?? userId };
    });
    const { appName } = projects.of(projectId).settings;
    const totp = secret && shownSecret(secret, { issuer: issuer || appName, account });
    return { factor: factorToMessage(factor), ...(totp && { totp }) };
  };
}

/** Deletes abandoned enrolments. Throws FACTOR_NAME_CONFLICT and FACTOR_LIMIT_REACHED. */
async function makeRoom(em: EntityManager, userId: string, friendlyName: string, now: Date): Promise<void> {
  const factors = (await factorsOf(em, userId)).filter(({ type }) => type === 'totp' || type === 'webauthn');
  const isAbandoned = ({ verifiedAt, createdAt }: (typeof factors)[number]) =>
    verifiedAt === null && now.getTime() - createdAt.getTime() >= unverifiedMs;
  const abandoned = factors.filter(isAbandoned).map(({ id }) => id);
  await deleteFactors(em, userId, abandoned);
  const kept = factors.filter((each) => !isAbandoned(each));
  if (kept.some((each) => each.friendlyName === friendlyName)) throw new Refusal('FACTOR_NAME_CONFLICT');
  if (kept.length >= mostFactors) throw new Refusal('FACTOR_LIMIT_REACHED');
}
