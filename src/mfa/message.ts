import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type FactorSchema, FactorType as Type } from '../../gen/gatehouse/v1/factor_pb.ts';
import type { UsableFactor } from '../errors.ts';
import type { FactorRow, FactorType } from './factor.ts';

const types = {
  totp: Type.TOTP,
  webauthn: Type.WEBAUTHN,
  recovery_code: Type.RECOVERY_CODE,
  passkey: Type.PASSKEY,
} as const satisfies Record<FactorType, Type>;

export function typeToMessage(type: FactorType): Type {
  return types[type];
}

type ShownFactor = Pick<FactorRow, 'id' | 'type' | 'friendlyName' | 'createdAt'> &
  Partial<Pick<FactorRow, 'verifiedAt' | 'lastUsedAt' | 'remainingCodes'>>;

export function factorToMessage(factor: ShownFactor): MessageInitShape<typeof FactorSchema> {
  const { id, type, friendlyName, createdAt, verifiedAt, lastUsedAt, remainingCodes = 0 } = factor;
  return {
    ...usableToMessage({ id, type, friendlyName }),
    verified: verifiedAt != null,
    createTime: timestampFromDate(createdAt),
    ...(lastUsedAt && { lastUseTime: timestampFromDate(lastUsedAt) }),
    remainingCodes,
  };
}

export function usableToMessage({
  id,
  type,
  friendlyName,
}: Pick<FactorRow, 'id' | 'type' | 'friendlyName'>): UsableFactor {
  return { id, type: types[type], friendlyName };
}
