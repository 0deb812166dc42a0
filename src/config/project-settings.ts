import { z } from 'zod';
import type { Config } from './config.ts';
import { listOf } from './parsers.ts';
import { settings } from './schema.ts';

const providerNames = listOf(z.string().regex(/^[a-z0-9_-]{1,32}$/, 'not the name of a provider'));

/** The settings that a project may have of its own, by the names of the settings that they override. */
const parsers = {
  SIGN_UP: settings.SIGN_UP.reads,
  AUTO_CONFIRM_EMAIL: settings.AUTO_CONFIRM_EMAIL.reads,
  EMAIL_VERIFICATION: settings.EMAIL_VERIFICATION.reads,
  ANONYMOUS_SIGN_IN: settings.ANONYMOUS_SIGN_IN.reads,
  PASSWORD_MIN_LENGTH: settings.PASSWORD_MIN_LENGTH.reads,
  SITE_URL: settings.SITE_URL.reads,
  REDIRECT_URLS: settings.REDIRECT_URLS.reads,
  FRONTEND_URL: settings.FRONTEND_URL.reads,
  OAUTH_PROVIDERS: providerNames,
  APP_NAME: settings.APP_NAME.reads,
  APP_URL: settings.APP_URL.reads,
  LOGO_URL: settings.LOGO_URL.reads,
  ACCENT_COLOR: settings.ACCENT_COLOR.reads,
  LIMITS: settings.LIMITS.reads,
} as const satisfies Readonly<Record<string, z.ZodType<unknown, string>>>;

export type ProjectSetting = keyof typeof parsers;

const lists: ReadonlySet<ProjectSetting> = new Set(['REDIRECT_URLS', 'OAUTH_PROVIDERS', 'LIMITS']);

/** In production these lead to pages that receive tokens. */
const secure: ReadonlySet<ProjectSetting> = new Set(['SITE_URL', 'FRONTEND_URL']);

/** Reads the settings of projects by the rules that hold for the configuration. */
export function projectSettingReader({ environment }: Pick<Config, 'environment'>): typeof readProjectSetting {
  return (name, text) => {
    const isPlain = environment === 'production' && secure.has(name) && !text.startsWith('https:');
    return isPlain ? { fault: 'not https, and tokens are sent there' } : readProjectSetting(name, text);
  };
}

/** The value of a setting, or what is wrong with its text. An empty text is an empty list, where the setting is a list. */
function readProjectSetting(name: ProjectSetting, text: string): { value: unknown } | { fault: string } {
  if (text === '' && lists.has(name)) return { value: name === 'LIMITS' ? {} : [] };
  const read = parsers[name].safeParse(text);
  return read.success ? { value: read.data } : { fault: read.error.issues.map(({ message }) => message).join('; ') };
}

/** The settings of a project that has none of its own. */
export function projectDefaults(config: Config) {
  const { look, redirects, passwords, oauthProviders } = config;
  const { frontendUrl } = config;
  const { signUp, autoConfirmEmail, emailVerification, hideRegistration, anonymousSignIn } = config.registration;
  return {
    ...{ signUp, autoConfirmEmail, emailVerification, hideRegistration, anonymousSignIn, frontendUrl, ...redirects },
    passwordMinLength: passwords.minLength,
    providers: oauthProviders.map(({ name }) => name),
    ...{ appName: look.name, appUrl: look.appUrl, logoUrl: look.logoUrl, accentColor: look.accent },
    // The limits of LIMITS hold where a project has none of its own.
    limits: {},
  };
}
