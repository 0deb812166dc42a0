import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { projectColumn } from './project.ts';

/** The settings that UpdateSettings changes while the service runs. Until then those of the configuration hold. */
export interface RuntimeSettings {
  readonly signUp: boolean;
  readonly autoConfirmEmail: boolean;
  readonly emailVerification: boolean;
}

/** The settings as configured. */
export interface ConfiguredSettings extends RuntimeSettings {
  readonly hideRegistration: boolean;
}

type Overrides = Partial<RuntimeSettings>;

const ProjectSettingsTable = defineEntity({
  name: 'ProjectSettings',
  tableName: 'project_settings',
  properties: {
    projectId: () => projectColumn().primary(),
    settings: p.json<Overrides>(),
    updatedAt: p.datetime(3),
  },
});

/** The settings of a project that differ from the configuration. */
export class ProjectSettings extends ProjectSettingsTable.class {}
ProjectSettingsTable.setClass(ProjectSettings);

const read = statement<{ settings: Overrides }, { projectId: string }>(
  'project_settings',
  'select settings from project_settings where project_id = :projectId',
);

// Merges in the statement, so that of two parallel updates neither undoes the other.
const write = statement<
  { settings: Overrides },
  { projectId: string; set: string; reset: readonly string[]; now: Date }
>(
  'project_settings_write',
  `insert into project_settings as s (project_id, settings, updated_at) values (:projectId, :set::jsonb, :now)
   on conflict (project_id) do update set settings = (s.settings || :set::jsonb) - :reset::text[], updated_at = :now
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
  const settings = { signUp, autoConfirmEmail, emailVerification, ...overrides };
  return hideRegistration ? { ...settings, autoConfirmEmail: false, emailVerification: true } : settings;
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
  { set, reset }: { set: Overrides; reset: readonly (keyof RuntimeSettings)[] },
  now: Date,
): Promise<Overrides> {
  const [row] = await write(em, { projectId, set: JSON.stringify(set), reset, now });
  return row!.settings;
}
