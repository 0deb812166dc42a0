import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { KeyChecks, MasterKeys } from '../crypto/master-keys.ts';
import { shellCommand } from '../text/program.ts';

const InstallationTable = defineEntity({
  name: 'Installation',
  tableName: 'installation',
  properties: {
    id: p.smallint().primary().autoincrement(false),
    minAppVersion: p.integer(),
    /** Of MASTER_KEYS. */
    keyChecks: p.json<KeyChecks>(),
    /** Of PASSWORD_PEPPER. */
    pepperChecks: p.json<KeyChecks>().default('{}'),
    /** Keys that a start may lack, each as its setting and id. Their checks stay, so an id never gets another key. */
    droppedKeys: p.json<readonly string[]>().default('[]'),
    /** The issuer of the access tokens. Null before the first start. */
    issuer: p.text().nullable(),
    /** Raised by every change of a project, in its transaction: changes have the order of their revisions. */
    projectsRevision: p.integer().default(0),
  },
});

/** The settings with keys on which stored rows depend. */
export const keySettings = ['MASTER_KEYS', 'PASSWORD_PEPPER'] as const;
export type KeySetting = (typeof keySettings)[number];

export interface Issuer {
  readonly value: string;
  /** Whether PUBLIC_URL is set. Without it, a replica takes the issuer that the database has. */
  readonly isConfigured: boolean;
}

/** What all replicas of a database must have in common, besides the master keys. */
export interface Terms {
  readonly peppers: KeyChecks;
  readonly issuer: Issuer;
}

const checksBy = { MASTER_KEYS: 'keyChecks', PASSWORD_PEPPER: 'pepperChecks' } as const;
const losses = {
  MASTER_KEYS: 'refresh tokens, one-time codes, waiting mail and audit seals under it become invalid',
  PASSWORD_PEPPER: 'users whose password was hashed with it have to reset their password',
};

/** The one row on which all replicas of a database must agree. */
export class Installation extends InstallationTable.class {
  /** Throws StartRefused for a replica that is older than the database allows. */
  admitVersion(appVersion: number): void {
    if (this.minAppVersion > appVersion)
      throw new StartRefused(
        `the database requires version ${this.minAppVersion} of its clients, this is ${appVersion}; upgrade this replica`,
      );
  }

  /**
   * Throws StartRefused for a replica that has another key under a known id, or lacks a known key: it could not read what
   * other replicas have written, or they could not read what it writes. Adds new ids to the row.
   */
  admitKeys(setting: KeySetting, checks: KeyChecks): void {
    const known = this.checksOf(setting);
    const other = Object.keys(checks).find((id) => (known[id] ?? checks[id]) !== checks[id]);
    if (other)
      throw new StartRefused(
        `the key '${other}' of ${setting} is not the key of that id that this database was written with; set the right key, and give a new key a new id`,
      );
    const missing = Object.keys(known).find((id) => !(id in checks) && !this.isDropped(setting, id));
    if (missing)
      throw new StartRefused(
        `${setting} lacks the key '${missing}' that this database was written with; add it, after the active key, or give it up: ${shellCommand(`installation drop ${setting} ${missing}`)} (${losses[setting]})`,
      );
    this[checksBy[setting]] = { ...known, ...checks };
    // Rows will depend on them again.
    this.droppedKeys = this.droppedKeys.filter(
      (each) => !Object.keys(checks).some((id) => each === `${setting} ${id}`),
    );
  }

  /** Returns the issuer of the access tokens. Throws StartRefused for a replica whose PUBLIC_URL leads to another one. */
  admitIssuer({ value, isConfigured }: Issuer): string {
    this.issuer ??= value;
    if (isConfigured && this.issuer !== value)
      throw new StartRefused(
        `PUBLIC_URL leads to the issuer ${value}, but the access tokens of this database have ${this.issuer}; set the same PUBLIC_URL on every replica or, to change it, stop all replicas and run: ${shellCommand('installation drop PUBLIC_URL')}`,
      );
    return this.issuer;
  }

  /** Lets replicas start without a key. False when the key is unknown. */
  dropKey(setting: KeySetting, id: string): boolean {
    if (!(id in this.checksOf(setting))) return false;
    if (!this.isDropped(setting, id)) this.droppedKeys = [...this.droppedKeys, `${setting} ${id}`];
    return true;
  }

  isDropped(setting: KeySetting, id: string): boolean {
    return this.droppedKeys.includes(`${setting} ${id}`);
  }

  checksOf(setting: KeySetting): KeyChecks {
    return this[checksBy[setting]];
  }
}
InstallationTable.setClass(Installation);

/** The replica must not serve. The message names the reason and the remedy. */
export class StartRefused extends Error {
  override name = 'StartRefused';
}

/** Incremented when older replicas can no longer run beside this one. Not the version of the package. */
export const appVersion = 1;

export function readInstallation(em: EntityManager): Promise<Installation> {
  return em.findOneOrFail(Installation, 1);
}

/** Checks a command against the database. Call it inside a transaction that holds the installation's lock. */
export async function joinByCommand(em: EntityManager, keys: MasterKeys): Promise<void> {
  const installation = await readInstallation(em);
  installation.admitVersion(appVersion);
  installation.admitKeys('MASTER_KEYS', keys.checks());
}

/** Checks this replica against the database and returns the issuer of its tokens. Call it as `joinByCommand`. */
export async function joinInstallation(em: EntityManager, keys: MasterKeys, terms: Terms): Promise<string> {
  await joinByCommand(em, keys);
  const installation = await readInstallation(em);
  installation.admitKeys('PASSWORD_PEPPER', terms.peppers);
  return installation.admitIssuer(terms.issuer);
}
