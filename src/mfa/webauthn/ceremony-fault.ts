/** The check of a ceremony that failed, as the metadata `check` of a refusal names it. */
export type Check =
  | 'encoding'
  | 'type'
  | 'challenge'
  | 'origin'
  | 'cross_origin'
  | 'rp_id'
  | 'user_presence'
  | 'backup_flags'
  | 'public_key'
  | 'credential'
  | 'user_handle'
  | 'counter'
  | 'signature';

/** Thrown for the response of an authenticator that is not accepted. */
export class CeremonyFault extends Error {
  readonly check: Check;

  constructor(check: Check) {
    super(`the check of ${check} failed`);
    this.check = check;
  }
}

/** Runs a step of a ceremony, whose errors all mean that one check failed. */
export function checking<T>(check: Check, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw error instanceof CeremonyFault ? error : new CeremonyFault(check);
  }
}

export function ensure(condition: boolean, check: Check): void {
  if (!condition) throw new CeremonyFault(check);
}
