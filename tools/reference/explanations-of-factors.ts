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
    when: 'The caller has no factor with this id. The factor of another user is the same as none.',
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
  MFA_CHALLENGE_EXPIRED: {
    when: 'The challenge is unknown, used or older than five minutes, has admitted five codes, or belongs to another factor or session.',
    retry: 'no',
    action: 'Begin a new challenge.',
  },
  MFA_VERIFICATION_FAILED: {
    when: 'The code is wrong or was used before, or the authenticator has signed something else.',
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
} as const satisfies Partial<Record<Reason, Explanation>>;
