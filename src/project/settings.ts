import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Project } from './project.ts';

/** What can be changed while the service runs. The configuration says what holds until then. */
export interface RuntimeSettings {
  readonly signUp: boolean;
  readonly autoConfirmEmail: boolean;
  readonly emailVerification: boolean;
}

/** What the configuration says of them. */
export interface ConfiguredSettings extends RuntimeSettings {
  readonly hideRegistration: boolean;
}

type Overrides = Partial<RuntimeSettings>;

const ProjectSettingsTable = defineEntity({
  name: 'ProjectSettings',
  tableName: 'project_settings',
  properties: {
    projectId: () =>
      p.manyToOne(Project).mapToPk().fieldName('project_id').primary().updateRule('no action').deleteRule('no action'),
    settings: p.json<Overrides>(),
    updatedAt: p.datetime(3),
  },
});

/** What of a project's settings differs from the configuration. */
export class ProjectSettings extends ProjectSettingsTable.class {}
ProjectSettingsTable.setClass(ProjectSettings);

const read = statement<{ settings: Overrides }>(
  'project_settings',
  'select settings from project_settings where project_id = $1',
);

// Both at once: of two updates side by side neither undoes the other's.
const write = statement<{ settings: Overrides }>(
  'project_settings_write',
  `insert into project_settings as s (project_id, settings, updated_at) values ($1, $2::jsonb, $4)
   on conflict (project_id) do update set settings = (s.settings || $2::jsonb) - $3::text[], updated_at = $4
   returning settings`,
);

/** The settings that hold now: asked at each use, so that a change holds everywhere at once. */
export async function readSettings(
  autocommit: Autocommit,
  projectId: string,
  configured: ConfiguredSettings,
): Promise<RuntimeSettings> {
  return override(configured, await readOverrides(autocommit, projectId));
}

/**
 * What holds. Where it is hidden who is registered, only a proved address lets anybody in: it is never confirmed without a
 * proof, and the mail that brings it cannot be switched off.
 */
export function override(
  { signUp, autoConfirmEmail, emailVerification, hideRegistration }: ConfiguredSettings,
  overrides: Overrides,
): RuntimeSettings {
  const settings = { signUp, autoConfirmEmail, emailVerification, ...overrides };
  return hideRegistration ? { ...settings, autoConfirmEmail: false, emailVerification: true } : settings;
}

/** Those that differ from the configuration. */
export async function readOverrides(autocommit: Autocommit, projectId: string): Promise<Overrides> {
  const [row] = await read(autocommit, [projectId]);
  return row?.settings ?? {};
}

/** Sets some, and leaves others to the configuration again. Answers with all that differ from it then. */
export async function writeSettings(
  em: EntityManager,
  projectId: string,
  { set, reset }: { set: Overrides; reset: readonly (keyof RuntimeSettings)[] },
  now: Date,
): Promise<Overrides> {
  const [row] = await write(em, [projectId, JSON.stringify(set), reset, now]);
  return row!.settings;
}
