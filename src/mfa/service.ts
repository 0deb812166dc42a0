import { challengeFactor } from './challenge-factor.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { enrollFactor } from './enroll-factor.ts';
import { generateRecoveryCodes } from './generate-recovery-codes.ts';
import { getAssurance } from './get-assurance.ts';
import { listFactors } from './list-factors.ts';
import { stepUp } from './step-up.ts';
import { trustedDevices } from './trusted-devices.ts';
import { unenrollFactor } from './unenroll-factor.ts';
import { verifyFactor } from './verify-factor.ts';

/** The methods of MfaService, each in the file of its name. */
export function mfaService(deps: MfaDeps): MfaMethods {
  return {
    enrollFactor: enrollFactor(deps),
    challengeFactor: challengeFactor(deps),
    verifyFactor: verifyFactor(deps),
    unenrollFactor: unenrollFactor(deps),
    listFactors,
    getAssurance,
    generateRecoveryCodes: generateRecoveryCodes(deps),
    ...stepUp(deps),
    ...trustedDevices(deps),
  };
}
