import type { Factor } from '../../../gen/gatehouse/v1/factor_pb.ts';
import { userIdOf } from './admin-users.ts';
import { type Answer, type Asked, withBearer } from './asked.ts';
import { AuthError } from './auth-error.ts';
import { factorJson, isSecondFactor, passkeyJson } from './factor-json.ts';
import { pathId } from './path-id.ts';

/** GET /admin/users/{id}/factors. */
export async function listFactors(asked: Asked): Promise<Answer> {
  return { body: (await factorsOf(asked)).filter(isSecondFactor).map(factorJson) };
}

/** GET /admin/users/{id}/passkeys. */
export async function listUserPasskeys(asked: Asked): Promise<Answer> {
  return { body: (await factorsOf(asked)).filter((each) => !isSecondFactor(each)).map(passkeyJson) };
}

async function factorsOf(asked: Asked): Promise<Factor[]> {
  const bearer = withBearer(asked);
  return (await asked.admin.listUserFactors({ userId: userIdOf(asked) }, bearer)).factors;
}

/** PUT /admin/users/{id}/factors/{factor_id}. */
export async function renameFactor(asked: Asked): Promise<Answer> {
  const { admin, body } = asked;
  const bearer = withBearer(asked);
  const factor = await namedFactor(asked);
  const friendlyName = body.text('friendly_name');
  if (!friendlyName) return { body: factorJson(factor) };
  const renamed = await admin.renameUserFactor({ userId: userIdOf(asked), factorId: factor.id, friendlyName }, bearer);
  return { body: factorJson(renamed.factor!) };
}

/** DELETE /admin/users/{id}/factors/{factor_id}. */
export async function removeFactor(asked: Asked): Promise<Answer> {
  const factor = await namedFactor(asked);
  await remove(asked, factor);
  return { body: factorJson(factor) };
}

/** The factor in the path. */
async function namedFactor(asked: Asked): Promise<Factor> {
  const factors = (await factorsOf(asked)).filter(isSecondFactor);
  const factor = find(factors, pathId(asked, 'factor_id', 'factor_id'));
  if (!factor) throw new AuthError(404, 'mfa_factor_not_found', 'Factor not found');
  return factor;
}

/** DELETE /admin/users/{id}/passkeys/{passkey_id}. */
export async function removePasskey(asked: Asked): Promise<Answer> {
  const passkeys = (await factorsOf(asked)).filter((each) => !isSecondFactor(each));
  const passkey = find(passkeys, pathId(asked, 'passkey_id', 'passkey_id'));
  if (!passkey) throw new AuthError(404, 'webauthn_credential_not_found', 'Passkey not found');
  await remove(asked, passkey);
  return {};
}

function find(factors: readonly Factor[], id: string): Factor | undefined {
  return factors.find((each) => each.id === id.toLowerCase());
}

async function remove(asked: Asked, { id }: Factor): Promise<void> {
  await asked.admin.removeUserFactors({ userId: userIdOf(asked), factorId: id }, withBearer(asked));
}
