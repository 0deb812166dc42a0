import type { EntityManager } from '@mikro-orm/postgresql';
import { Refusal } from '../errors.ts';
import type { FactorRow } from './factor.ts';
import type { Check } from './webauthn/ceremony-fault.ts';

const faults = {
  totp: 'the code is wrong or was used before',
  recovery_code: 'the recovery code is wrong or was used before',
  webauthn: 'the response of the security key was not accepted',
  passkey: 'the response of the passkey was not accepted',
} as const;

interface RefusedProof {
  /** For the audit trail. */
  readonly cause: string;
  /** The check that the response of an authenticator has failed. */
  readonly check?: Check;
  readonly remember?: (em: EntityManager) => Promise<void>;
}

/** The refusal of a proof. Its sentence names the kind of the factor. */
export function refusedProof(
  { id, type }: Pick<FactorRow, 'id' | 'type'>,
  { cause, check, remember }: RefusedProof,
): Refusal {
  return new Refusal('MFA_VERIFICATION_FAILED', {
    detail: faults[type],
    event: { action: 'factor.verify_failed', entityId: id, cause },
    ...(check && { metadata: { check } }),
    ...(remember && { remember }),
  });
}
