import type { Values } from './schema.ts';

/** The settings of registration and of the credentials of users. */
export function arrangeRegistration(values: Values) {
  return {
    signUp: values.SIGN_UP,
    autoConfirmEmail: values.AUTO_CONFIRM_EMAIL,
    identityLinking: values.IDENTITY_LINKING,
    anonymousSignIn: values.ANONYMOUS_SIGN_IN,
    securePasswordChange: values.SECURE_PASSWORD_CHANGE,
    recoveryRequiresPassword: values.RECOVERY_REQUIRES_PASSWORD,
    emailVerification: values.EMAIL_VERIFICATION,
    requireVerifiedEmail: values.REQUIRE_VERIFIED_EMAIL,
    hideRegistration: values.HIDE_REGISTRATION,
  };
}
