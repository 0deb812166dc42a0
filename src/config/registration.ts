import type { Values } from './schema.ts';

/** Who registers, and what users do with their credentials. */
export function arrangeRegistration(values: Values) {
  return {
    signUp: values.SIGN_UP,
    autoConfirmEmail: values.AUTO_CONFIRM_EMAIL,
    identityLinking: values.IDENTITY_LINKING,
    anonymousSignIn: values.ANONYMOUS_SIGN_IN,
    securePasswordChange: values.SECURE_PASSWORD_CHANGE,
    recoveryRequiresPassword: values.RECOVERY_REQUIRES_PASSWORD,
  };
}
