import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { Redirects } from '../text/redirects.ts';
import { defaultProjectId } from './project.ts';
import {
  type ConfiguredSettings,
  type Overrides,
  type OwnSettings,
  overrideAll,
  type StoredServiceKey,
} from './settings.ts';

/** A project with its settings and keys, as a statement reads it. */
export interface ProjectRow {
  readonly id: string;
  readonly slug: string;
  readonly publishableKey: string | null;
  readonly createdAt: Date;
  readonly settings: Overrides;
  readonly serviceKeys: readonly StoredServiceKey[];
  readonly revision: number;
}

/** SQL: the columns of a ProjectRow, for `projects p left join project_settings s`. */
export const projectColumns = `p.id, p.slug, p.publishable_key as "publishableKey", p.created_at as "createdAt",
     coalesce(s.settings, jsonb_build_object()) as settings, coalesce(s.service_keys, jsonb_build_array()) as "serviceKeys", coalesce(s.revision, 0) as revision`;

/** SQL: the number of changes of projects so far. */
export const projectsRevision = '(select projects_revision from installation where id = 1)';

const readChanged = statement<ProjectRow, { known: number }>(
  'projects_changed',
  `select ${projectColumns} from projects p left join project_settings s on s.project_id = p.id
   where coalesce(s.revision, 0) > :known`,
);

/** A project as this process last read it. */
export class KnownProject {
  readonly id: string;
  readonly slug: string;
  readonly publishableKey: string | null;
  readonly overrides: Overrides;
  readonly settings: OwnSettings;
  readonly redirects: Redirects;
  readonly serviceKeys: readonly StoredServiceKey[];

  constructor({ id, slug, publishableKey, settings, serviceKeys }: ProjectRow, configured: Configured) {
    this.id = id;
    this.slug = slug;
    this.publishableKey = publishableKey;
    this.serviceKeys = serviceKeys;
    this.overrides = settings;
    this.settings = overrideAll(configured, settings);
    this.redirects = new Redirects(this.settings);
  }

  get isDefault(): boolean {
    return this.id === defaultProjectId;
  }
}

type Configured = OwnSettings & ConfiguredSettings;

/** The key of a backend, and the project that it belongs to. */
export interface FoundServiceKey {
  readonly projectId: string;
  readonly key: StoredServiceKey;
}

/**
 * The projects of the installation, in the memory of each process: no call costs a statement to find its project or the
 * settings of it. The poll of the jobs reads the number of changes each second, and a change is read then. A name or a key
 * that this process does not know is looked for in the database before it is refused.
 */
export class Projects {
  readonly #autocommit: Autocommit;
  /** The settings of a project that has none of its own. */
  readonly configured: Configured;
  readonly #byId = new Map<string, KnownProject>();
  #byName: ReadonlyMap<string, KnownProject> = new Map();
  #byDigest: ReadonlyMap<string, FoundServiceKey> = new Map();
  #revision = -1;
  #reading: Promise<void> | undefined;
  #following: Promise<void> | undefined;

  constructor(autocommit: Autocommit, configured: Configured) {
    this.#autocommit = autocommit;
    this.configured = configured;
  }

  /** Of the last change that this process knows. */
  get revision(): number {
    return this.#revision;
  }

  /** Oldest first. */
  get all(): readonly KnownProject[] {
    return [...this.#byId.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  /** The project of an id that a call or a row has. */
  of(id: string): KnownProject {
    return this.#byId.get(id) ?? this.#byId.get(defaultProjectId)!;
  }

  /** The id of the project that a call names, or of the default project. Throws PROJECT_NOT_FOUND. */
  idOf(name: string | undefined): string | Promise<string> {
    if (name === undefined || name === 'default' || name === defaultProjectId) return defaultProjectId;
    return this.named(name).then(({ id }) => id);
  }

  /** The project of a slug, an id or a publishable key. Throws PROJECT_NOT_FOUND. */
  async named(name: string): Promise<KnownProject> {
    const found = await this.find(name);
    if (!found) throw new Refusal('PROJECT_NOT_FOUND');
    return found;
  }

  /** The same. Undefined for an unknown name. */
  async find(name: string): Promise<KnownProject | undefined> {
    if (!this.#byName.has(name)) await this.refresh();
    return this.#byName.get(name);
  }

  /** The service key of a project with this hash. */
  async findServiceKey(sha256: string): Promise<FoundServiceKey | undefined> {
    if (!this.#byDigest.has(sha256)) await this.refresh();
    return this.#byDigest.get(sha256);
  }

  /**
   * Reads what has changed. However many calls ask, one statement is under way: anybody can send unknown names. A read that
   * began earlier may have missed the change, so the calls that arrive during it share the next one.
   */
  refresh(): Promise<void> {
    if (!this.#reading) {
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
      });
      return this.#reading;
    }
    this.#following ??= this.#reading
      .catch(() => {})
      .then(() => {
        this.#following = undefined;
        return this.refresh();
      });
    return this.#following;
  }

  /** Reads a change that this process has committed. If that fails, the next poll reads it. */
  async noticeChange(): Promise<void> {
    await this.refresh().catch(() => {});
  }

  async #read(): Promise<void> {
    const changed = await readChanged(this.#autocommit, { known: this.#revision });
    if (changed.length === 0) return;
    for (const row of changed) this.#byId.set(row.id, new KnownProject(row, this.configured));
    const all = [...this.#byId.values()];
    this.#byName = new Map(
      all.flatMap((each) => [each.slug, each.id, each.publishableKey ?? each.id].map((name) => [name, each] as const)),
    );
    this.#byDigest = new Map(
      all.flatMap(({ id: projectId, serviceKeys }) =>
        serviceKeys.map((key) => [key.sha256, { projectId, key }] as const),
      ),
    );
    this.#revision = Math.max(...changed.map(({ revision }) => revision), this.#revision);
  }
}
