import type { ConfiguredSettings } from '../project/settings.ts';
import type { RegistrationSettings } from './deps.ts';

/** The settings of registration, out of the configuration. */
export function registrationSettings(config: RegistrationSettings): RegistrationSettings {
  const { requireVerifiedEmail, identityLinking, anonymousSignIn } = config;
  const { securePasswordChange, recoveryRequiresPassword } = config;
  const rules = { requireVerifiedEmail, identityLinking, anonymousSignIn };
  return { ...configuredSettings(config), ...rules, securePasswordChange, recoveryRequiresPassword };
}

/** The part of them that UpdateSettings overrides. */
export function configuredSettings(config: ConfiguredSettings): ConfiguredSettings {
  const { signUp, autoConfirmEmail, emailVerification, hideRegistration } = config;
  return { signUp, autoConfirmEmail, emailVerification, hideRegistration };
}
