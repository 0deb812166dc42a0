import { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import { AdminService, type ProjectSettings, SettingName as Setting } from '../../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { Refusal } from '../errors.ts';
import { defaultProjectId } from '../project/project.ts';
import {
  type Overrides,
  type OwnSettings,
  type SettingName,
  settingNames,
  settingVariables,
} from '../project/settings.ts';
import type { Caller } from '../rpc/context.ts';
import { projectLimitKeys } from '../throttle/configured-limits.ts';
import type { AdminDeps } from './deps.ts';

/** Each setting as UpdateSettings resets it. */
const numbers = {
  signUp: Setting.SIGN_UP,
  autoConfirmEmail: Setting.AUTO_CONFIRM_EMAIL,
  emailVerification: Setting.EMAIL_VERIFICATION,
  anonymousSignIn: Setting.ANONYMOUS_SIGN_IN,
  passwordMinLength: Setting.PASSWORD_MIN_LENGTH,
  siteUrl: Setting.SITE_URL,
  redirectUrls: Setting.REDIRECT_URLS,
  frontendUrl: Setting.FRONTEND_URL,
  providers: Setting.PROVIDERS,
  appName: Setting.APP_NAME,
  appUrl: Setting.APP_URL,
  logoUrl: Setting.LOGO_URL,
  accentColor: Setting.ACCENT_COLOR,
  limits: Setting.LIMITS,
} as const satisfies Record<SettingName, Setting>;

/** A change of settings, once it was checked. */
export interface SettingsChange {
  readonly set: Overrides;
  readonly reset: readonly SettingName[];
}

interface Asked {
  readonly settings?: ProjectSettings | undefined;
  readonly reset?: readonly Setting[];
}

/** The settings to set, as they would stand in the configuration, which has the rules for them. A list may be in parts. */
export type SettingTexts = readonly (readonly [SettingName, string | readonly string[]])[];

interface Concerned {
  readonly caller: Caller;
  readonly projectId: string;
}

/** Reads the settings of a request. Throws as `checkSettings`. */
export function readSettingsOf(
  deps: Pick<AdminDeps, 'readSetting' | 'projects'>,
  { settings, reset = [] }: Asked,
  concerned: Concerned,
): SettingsChange {
  const removed = settingNames.filter((name) => reset.includes(numbers[name]));
  return checkSettings(deps, { texts: textsOf(settings), reset: removed }, concerned);
}

/**
 * Throws INVALID_ARGUMENT with every setting that is not valid, and CALLER_NOT_ALLOWED for limits that a caller of the project
 * itself would set: they protect the installation, which other projects share.
 */
export function checkSettings(
  { readSetting, projects }: Pick<AdminDeps, 'readSetting' | 'projects'>,
  { texts, reset }: { readonly texts: SettingTexts; readonly reset: readonly SettingName[] },
  { caller, projectId }: Concerned,
): SettingsChange {
  const fields: { field: string; description: string }[] = [];
  const set: Record<string, unknown> = {};
  for (const [name, text] of texts) {
    const hasComma = typeof text !== 'string' && text.some((each) => each.includes(','));
    const read = hasComma ? { fault: 'a value with a comma' } : readSetting(settingVariables[name], `${text}`);
    if ('fault' in read) fields.push({ field: `settings.${fieldOf(name)}`, description: read.fault });
    else set[name] = read.value;
  }
  const overrides: Overrides = set;
  const configured = projects.configured.providers;
  const unknown = overrides.providers?.filter((each) => !configured.includes(each)) ?? [];
  if (unknown.length > 0)
    fields.push({ field: 'settings.providers', description: 'names a provider that OAUTH_PROVIDERS does not have' });
  const fault = overrides.limits && limitsFault(overrides.limits, projectId);
  if (fault) fields.push({ field: 'settings.limits', description: fault });
  if (fields.length > 0) throw new Refusal('INVALID_ARGUMENT', { fields });
  if ((overrides.limits || reset.includes('limits')) && caller.projectId !== defaultProjectId)
    throw new Refusal('CALLER_NOT_ALLOWED');
  return { set: overrides, reset };
}

function limitsFault(limits: OwnSettings['limits'], projectId: string): string | undefined {
  if (projectId === defaultProjectId) return 'the limits of the default project are those of LIMITS';
  const others = Object.keys(limits).filter((key) => !limitsOfProjects.has(key));
  if (others.length === 0) return undefined;
  const names = others.join(', ');
  return others.some((key) => key.endsWith(':session'))
    ? `only LIMITS sets limits per session, for all projects: ${names}`
    : `names no limit of a project: ${names}`;
}

const services = [AuthService, SessionService, AccountService, DeviceService, MfaService, AdminService];
const limitsOfProjects = projectLimitKeys(services.flatMap(({ methods }) => methods));

/** As the API names it: `sign_up`. */
function fieldOf(name: SettingName): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function textsOf(settings: ProjectSettings | undefined): SettingTexts {
  return settingNames.flatMap((name): SettingTexts => {
    const value = settings?.[name];
    if (value === undefined) return [];
    if (typeof value === 'boolean') return [[name, value ? 'on' : 'off']];
    return [[name, typeof value === 'object' ? value.values : `${value}`]];
  });
}

// As long as the column of the event.
const longestNames = 64;

/** The changed settings as the API names them: `sign_up,auto_confirm_email`. */
export function changedNames({ set, reset }: SettingsChange): string {
  const names = settingNames
    .filter((name) => name in set || reset.includes(name))
    .map(fieldOf)
    .join(',');
  return names.length > longestNames ? `${names.slice(0, longestNames - 1)}…` : names;
}
