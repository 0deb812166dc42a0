import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { projectColumn } from './project.ts';

/** The settings that are read at each use, so that a change holds on all replicas at once. */
export interface RuntimeSettings {
  readonly signUp: boolean;
  readonly autoConfirmEmail: boolean;
  readonly emailVerification: boolean;
}

/** The settings as configured. */
export interface ConfiguredSettings extends RuntimeSettings {
  readonly hideRegistration: boolean;
}

/** The settings that a project may have of its own. The configuration has the same, for all projects. */
export interface OwnSettings extends RuntimeSettings {
  readonly anonymousSignIn: boolean;
  readonly passwordMinLength: number;
  readonly siteUrl: string;
  readonly redirectUrls: readonly string[];
  readonly frontendUrl: string;
  /** The names of the providers that users can sign in with. */
  readonly providers: readonly string[];
  readonly appName: string;
  readonly appUrl: string | undefined;
  readonly logoUrl: string | undefined;
  readonly accentColor: string;
  /** Rate limits by their keys in LIMITS. */
  readonly limits: Readonly<Record<string, number | 'off'>>;
}

export type SettingName = keyof OwnSettings;

/** The settings of the configuration that they override. */
export const settingVariables = {
  signUp: 'SIGN_UP',
  autoConfirmEmail: 'AUTO_CONFIRM_EMAIL',
  emailVerification: 'EMAIL_VERIFICATION',
  anonymousSignIn: 'ANONYMOUS_SIGN_IN',
  passwordMinLength: 'PASSWORD_MIN_LENGTH',
  siteUrl: 'SITE_URL',
  redirectUrls: 'REDIRECT_URLS',
  frontendUrl: 'FRONTEND_URL',
  providers: 'OAUTH_PROVIDERS',
  appName: 'APP_NAME',
  appUrl: 'APP_URL',
  logoUrl: 'LOGO_URL',
  accentColor: 'ACCENT_COLOR',
  limits: 'LIMITS',
} as const satisfies Record<SettingName, string>;

export type SettingVariable = (typeof settingVariables)[SettingName];

export const settingNames = Object.keys(settingVariables) as SettingName[];

export type Overrides = Partial<OwnSettings>;

/** A key of a backend, as it is stored. */
export interface StoredServiceKey {
  readonly name: string;
  /** SHA-256 of the key, in hexadecimal digits. */
  readonly sha256: string;
  /** Undefined: all methods for backends. */
  readonly scopes?: readonly string[] | undefined;
  /** In ISO 8601. */
  readonly createdAt: string;
}

const ProjectSettingsTable = defineEntity({
  name: 'ProjectSettings',
  tableName: 'project_settings',
  properties: {
    projectId: () => projectColumn().primary(),
    settings: p.json<Overrides>(),
    serviceKeys: p.json<readonly StoredServiceKey[]>().default('[]'),
    /** The revision of the last change. */
    revision: p.integer().default(0),
    updatedAt: p.datetime(3),
  },
});

/** What of a project differs from the configuration. */
export class ProjectSettings extends ProjectSettingsTable.class {}
ProjectSettingsTable.setClass(ProjectSettings);

const read = statement<{ settings: Overrides }, { projectId: string }>(
  'project_settings',
  'select settings from project_settings where project_id = :projectId',
);

/** SQL: the next revision of the projects. It is held until the transaction ends, so changes are seen in its order. */
const nextRevision = `raised as (
     update installation set projects_revision = projects_revision + 1 where id = 1 returning projects_revision as revision
   )`;

// Merges in the statement, so that of two parallel updates neither undoes the other.
const write = statement<
  { settings: Overrides },
  { projectId: string; set: string; reset: readonly string[]; now: Date }
>(
  'project_settings_write',
  `with ${nextRevision}
   insert into project_settings as s (project_id, settings, updated_at, revision)
   select :projectId, :set::jsonb, :now, raised.revision from raised
   on conflict (project_id) do update
     set settings = (s.settings || :set::jsonb) - :reset::text[], updated_at = :now, revision = excluded.revision
   returning settings`,
);

/** The settings that hold now. Read at each use, so that a change holds on all replicas at once. */
export async function readSettings(
  on: EntityManager | Autocommit,
  projectId: string,
  configured: ConfiguredSettings,
): Promise<RuntimeSettings> {
  return override(configured, await readOverrides(on, projectId));
}

/**
 * The configuration with a project's overrides. With HIDE_REGISTRATION, only a user with a verified address may sign in: so
 * no address is confirmed without a mail, and the mail cannot be switched off.
 */
export function override(
  { signUp, autoConfirmEmail, emailVerification, hideRegistration }: ConfiguredSettings,
  overrides: Overrides,
): RuntimeSettings {
  const settings = {
    signUp: overrides.signUp ?? signUp,
    autoConfirmEmail: overrides.autoConfirmEmail ?? autoConfirmEmail,
    emailVerification: overrides.emailVerification ?? emailVerification,
  };
  return hideRegistration ? { ...settings, autoConfirmEmail: false, emailVerification: true } : settings;
}

/** All settings of a project: those of the configuration with its overrides. */
export function overrideAll(configured: OwnSettings & ConfiguredSettings, overrides: Overrides): OwnSettings {
  const { hideRegistration: _, ...settings } = configured;
  const known = new Set(configured.providers);
  return {
    ...settings,
    // The site is that of the pages, unless it is named.
    ...(overrides.frontendUrl !== undefined && { siteUrl: overrides.frontendUrl }),
    ...overrides,
    // A provider may have been removed from the configuration since.
    providers: (overrides.providers ?? configured.providers).filter((name) => known.has(name)),
    ...override(configured, overrides),
  };
}

/** The settings that differ from the configuration. */
export async function readOverrides(on: EntityManager | Autocommit, projectId: string): Promise<Overrides> {
  const [row] = await read(on, { projectId });
  return row?.settings ?? {};
}

/** Overrides the settings in `set`, and removes the overrides of those in `reset`. Returns the remaining overrides. */
export async function writeSettings(
  em: EntityManager,
  projectId: string,
  { set, reset }: { set: Overrides; reset: readonly SettingName[] },
  now: Date,
): Promise<Overrides> {
  const [row] = await write(em, { projectId, set: JSON.stringify(set), reset, now });
  return row!.settings;
}
