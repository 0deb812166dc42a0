import { Migration20261121120000_foundation } from './Migration20261121120000_foundation.ts';
import { Migration20261121154157_profiles } from './Migration20261121154157_profiles.ts';

/** In the order they run. */
export const migrations = [
  { name: 'Migration20261121120000_foundation', class: Migration20261121120000_foundation },
  { name: 'Migration20261121154157_profiles', class: Migration20261121154157_profiles },
];
