import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';

const InstallationTable = defineEntity({
  name: 'Installation',
  tableName: 'installation',
  properties: {
    id: p.smallint().primary().autoincrement(false),
    minAppVersion: p.integer(),
    keyChecks: p.json<Record<string, string>>(),
  },
});

/** The one row on which all replicas of a database must agree. */
export class Installation extends InstallationTable.class {
  /**
   * Throws StartRefused for a replica that is older than the database allows, or that has other master keys: it could read
   * no sealed value, and no other replica could read the values that it seals. Adds new key ids to the row.
   */
  admit(appVersion: number, keys: MasterKeys): void {
    if (this.minAppVersion > appVersion)
      throw new StartRefused(
        `the database requires version ${this.minAppVersion} of its clients, this is ${appVersion}; upgrade this replica`,
      );
    const checks = keys.checks();
    const other = Object.keys(checks).find((id) => (this.keyChecks[id] ?? checks[id]) !== checks[id]);
    if (other)
      throw new StartRefused(
        `master key '${other}' is not the key of that id that this database was sealed with; set the right MASTER_KEYS`,
      );
    const known = Object.keys(this.keyChecks);
    if (known.length > 0 && !known.some((id) => id in checks))
      throw new StartRefused(
        `none of the MASTER_KEYS is known to this database (it knows: ${known.join(', ')}); keep the old key in the list, after the new one`,
      );
    this.keyChecks = { ...this.keyChecks, ...checks };
  }
}
InstallationTable.setClass(Installation);

/** The replica must not serve. The message names the reason and the remedy. */
export class StartRefused extends Error {
  override name = 'StartRefused';
}

/** Incremented when older replicas can no longer run beside this one. Not the version of the package. */
export const appVersion = 1;

/** Checks this replica against the database. Call it inside a transaction that holds the installation's lock. */
export async function joinInstallation(em: EntityManager, keys: MasterKeys): Promise<void> {
  const installation = await em.findOneOrFail(Installation, 1);
  installation.admit(appVersion, keys);
}
