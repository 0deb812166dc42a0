import type { Reason } from '../../src/errors.ts';
import type { Explanation } from './explanations.ts';

/** The reasons about second factors. */
export const ofFactors = {
  FACTOR_REQUIRED: {
    when: 'MFA_REQUIRED_FOR requires a second factor of the user, and none was verified in the session.',
    retry: 'no',
    action:
      'Have the user verify one of the factors in the `StepUpRequirement` detail or, without any, enrol one. Then repeat the call with the new access token.',
    metadata: { required_aal: 'The required level: `aal2`.', current_aal: 'The level of the session: `aal1`.' },
  },
  FACTOR_NOT_FOUND: {
    when: 'The caller, or the user whom a backend names, has no factor with this id. The factor of another user is the same as none.',
    retry: 'no',
    action: 'List the factors again.',
  },
  FACTOR_NAME_CONFLICT: {
    when: 'Another factor of the user has this name. No name counts as one.',
    retry: 'no',
    action: 'Have the user choose another name.',
  },
  NO_FACTOR_ENROLLED: {
    when: 'The user has no verified factor.',
    retry: 'no',
    action: 'Have the user enrol a factor first.',
  },
  RECOVERY_CODES_CHANGED: {
    when: 'The recovery codes of the user are not those that the call was to replace: another call has replaced them.',
    retry: 'no',
    action: 'List the factors again, and have the user decide whether the present codes are to be replaced.',
  },
  MFA_CHALLENGE_EXPIRED: {
    when: 'The challenge is unknown, used or older than five minutes, has admitted five codes, or belongs to another factor or session.',
    retry: 'no',
    action: 'Begin a new challenge.',
    metadata: {
      state: 'Of a challenge that is stored: `unknown`, `expired` (or attempted too often) or `used`.',
    },
  },
  MFA_VERIFICATION_FAILED: {
    when: 'The code is wrong or was used before, or the response of the authenticator was not accepted. The message says which.',
    retry: 'no',
    action: 'Have the user wait for the next code, or try again with the authenticator.',
  },
  TRUSTED_DEVICE_NOT_FOUND: {
    when: 'The caller trusts no device with this id: the trust was revoked or has expired.',
    retry: 'no',
    action: 'List the trusted devices again.',
  },
  FACTOR_LIMIT_REACHED: {
    when: 'The user has ten factors already.',
    retry: 'no',
    action: 'Have the user remove one first.',
  },
  AUTHENTICATOR_ALREADY_REGISTERED: {
    when: 'The credential of the authenticator is registered already, for this user or another one.',
    retry: 'no',
    action: 'Have the user sign in with it, or register another authenticator.',
  },
  PASSKEY_NOT_FOUND: {
    when: 'The caller has no passkey with this id. The passkey of another user is the same as none.',
    retry: 'no',
    action: 'List the passkeys again.',
  },
  PASSKEY_UNKNOWN: {
    when: 'No user has the passkey, for example because it was deleted.',
    retry: 'no',
    action: 'Call PublicKeyCredential.signalUnknownCredential, and offer the other ways to sign in.',
  },
  PASSKEY_VERIFICATION_FAILED: {
    when: 'The response of the authenticator is wrong. The metadata `check` names the check that failed.',
    retry: 'no',
    action:
      'Offer the user to try again. When `check` is `origin` or `rp_id`, compare WEBAUTHN_ORIGINS and WEBAUTHN_RP_ID.',
  },
  PASSKEY_NOT_ACCEPTED: {
    when: 'The response of the authenticator to the registration is wrong. The metadata `check` names the check that failed.',
    retry: 'no',
    action:
      'Offer the user to try again. When `check` is `origin` or `rp_id`, compare WEBAUTHN_ORIGINS and WEBAUTHN_RP_ID.',
  },
  PASSKEY_NEEDS_USER_VERIFICATION: {
    when: 'The authenticator has not checked who uses it. A security key without a PIN is an example.',
    retry: 'no',
    action:
      'Have the user set a PIN, a fingerprint or face recognition on the authenticator. Without one it can be a second factor.',
  },
  LAST_FACTOR: {
    when: 'The user could not sign in any more: they have no other passkey, no password, no identity of a provider and no verified email address that receives mail.',
    retry: 'no',
    action: 'Have the user set a password or register another passkey first.',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;
