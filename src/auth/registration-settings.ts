import type { Config } from '../config/config.ts';
import type { ConfiguredSettings } from '../project/settings.ts';
import type { RegistrationSettings } from './deps.ts';

/** The settings of registration in the configuration. */
export function registrationSettings(config: Config): RegistrationSettings {
  const { requireVerifiedEmail, identityLinking, anonymousSignIn } = config;
  const { securePasswordChange, recoveryRequiresPassword } = config;
  const rules = { requireVerifiedEmail, identityLinking, anonymousSignIn };
  return { ...configuredSettings(config), ...rules, securePasswordChange, recoveryRequiresPassword };
}

/** The part of them that UpdateSettings overrides. */
export function configuredSettings(config: Config): ConfiguredSettings {
  const { signUp, autoConfirmEmail, emailVerification, hideRegistration } = config;
  return { signUp, autoConfirmEmail, emailVerification, hideRegistration };
}
