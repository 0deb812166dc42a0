import { challengeFactor } from './challenge-factor.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { enrollFactor } from './enroll-factor.ts';
import { generateRecoveryCodes } from './generate-recovery-codes.ts';
import { getAssurance } from './get-assurance.ts';
import { listFactors } from './list-factors.ts';
import { deletePasskey } from './passkeys/delete-passkey.ts';
import { finishPasskeyRegistration } from './passkeys/finish-passkey-registration.ts';
import { listPasskeys } from './passkeys/list-passkeys.ts';
import { renamePasskey } from './passkeys/rename-passkey.ts';
import { startPasskeyRegistration } from './passkeys/start-passkey-registration.ts';
import { startPasskeySignIn } from './passkeys/start-passkey-sign-in.ts';
import { stepUp } from './step-up.ts';
import { unenrollFactor } from './unenroll-factor.ts';
import { verifyFactor } from './verify-factor.ts';

/** The methods of MfaService but one, each in the file of its name. */
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
    startPasskeyRegistration: startPasskeyRegistration(deps),
    finishPasskeyRegistration: finishPasskeyRegistration(deps),
    startPasskeySignIn: startPasskeySignIn(deps),
    listPasskeys: listPasskeys(deps),
    renamePasskey: renamePasskey(deps),
    deletePasskey: deletePasskey(deps),
  };
}
