import { writeFileSync } from 'node:fs';
import path from 'node:path';

/** The password of the clusters that tests start, so that a URL needs nothing but the host and the database. */
export const clusterPassword = 'p'.repeat(43);

/** For a data directory whose cluster has not been started yet. */
export function choosePassword(dataDir: string): void {
  writeFileSync(path.join(dataDir, 'postgres-password'), `${clusterPassword}\n`, { mode: 0o600 });
}
