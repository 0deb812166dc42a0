import { Migration20261121120000_foundation } from './Migration20261121120000_foundation.ts';

export const migrations = [{ name: 'Migration20261121120000_foundation', class: Migration20261121120000_foundation }];
