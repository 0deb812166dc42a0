import type { JsonObject } from '@bufbuild/protobuf';
import { type Factor, FactorType } from '../../../gen/gatehouse/v1/factor_pb.ts';
import type { Passkey } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import type { User } from '../../../gen/gatehouse/v1/user_pb.ts';
import { textOf, userJson } from './user-json.ts';

const types: Readonly<Record<FactorType, string>> = {
  [FactorType.UNSPECIFIED]: '',
  [FactorType.TOTP]: 'totp',
  [FactorType.WEBAUTHN]: 'webauthn',
  [FactorType.RECOVERY_CODE]: 'recovery_code',
  // A client runs the ceremony of a security key for it.
  [FactorType.PASSKEY]: 'webauthn',
};

export function typeName(type: FactorType): string {
  return types[type] ?? '';
}

/** Whether it is listed with the factors: passkeys are listed apart. */
export function isSecondFactor({ type }: Pick<Factor, 'type'>): boolean {
  return type !== FactorType.PASSKEY;
}

export function factorJson({ id, type, friendlyName, verified, createTime, lastUseTime }: Factor): JsonObject {
  return {
    id,
    factor_type: typeName(type),
    friendly_name: friendlyName,
    status: verified ? 'verified' : 'unverified',
    created_at: textOf(createTime!),
    updated_at: textOf(lastUseTime ?? createTime!),
    ...(lastUseTime && { last_challenged_at: textOf(lastUseTime) }),
  };
}

/** A user with their factors: clients read from these which level a session can reach. */
export function userWithFactors(user: User, factors: readonly Factor[]): JsonObject {
  return { ...userJson(user), ...(factors.length > 0 && { factors: factors.map(factorJson) }) };
}

type ShownPasskey = Pick<Passkey, 'id' | 'friendlyName'> & Partial<Pick<Passkey, 'createTime' | 'lastUseTime'>>;

export function passkeyJson({ id, friendlyName, createTime, lastUseTime }: ShownPasskey): JsonObject {
  return {
    id,
    ...(friendlyName && { friendly_name: friendlyName }),
    created_at: textOf(createTime!),
    ...(lastUseTime && { last_used_at: textOf(lastUseTime) }),
  };
}
