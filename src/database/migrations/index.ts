import { Migration20261121120000_foundation } from './Migration20261121120000_foundation.ts';
import { Migration20261121154157_profiles } from './Migration20261121154157_profiles.ts';
import { Migration20261121155553_one_time_values_and_mail } from './Migration20261121155553_one_time_values_and_mail.ts';
import { Migration20261121160000_audit_trail } from './Migration20261121160000_audit_trail.ts';
import { Migration20261121160820_accounts } from './Migration20261121160820_accounts.ts';
import { Migration20261121161000_operators } from './Migration20261121161000_operators.ts';
import { Migration20261121182500_sessions_of_user } from './Migration20261121182500_sessions_of_user.ts';
import { Migration20261122003845_mailed_codes } from './Migration20261122003845_mailed_codes.ts';
import { Migration20261122014403_sessions_of_impersonator } from './Migration20261122014403_sessions_of_impersonator.ts';
import { Migration20261129010100_operators_of_project } from './Migration20261129010100_operators_of_project.ts';
import { Migration20261129010200_one_time_values_of_user } from './Migration20261129010200_one_time_values_of_user.ts';
import { Migration20261129010300_mails_of_user } from './Migration20261129010300_mails_of_user.ts';
import { Migration20261129030100_attempt_of_refresh } from './Migration20261129030100_attempt_of_refresh.ts';
import { Migration20261129030200_session_epoch } from './Migration20261129030200_session_epoch.ts';
import { Migration20261129030300_heartbeat } from './Migration20261129030300_heartbeat.ts';
import { Migration20261129040100_token_epoch } from './Migration20261129040100_token_epoch.ts';
import { Migration20261129040200_sessions_of_user_by_id } from './Migration20261129040200_sessions_of_user_by_id.ts';
import { Migration20261129060000_first_proof } from './Migration20261129060000_first_proof.ts';
import { Migration20261129070100_listed_users } from './Migration20261129070100_listed_users.ts';
import { Migration20261129090000_sweeps } from './Migration20261129090000_sweeps.ts';
import { Migration20261130120100_audit_seal_version } from './Migration20261130120100_audit_seal_version.ts';

/** In the order they run. */
export const migrations = [
  { name: 'Migration20261121120000_foundation', class: Migration20261121120000_foundation },
  { name: 'Migration20261121154157_profiles', class: Migration20261121154157_profiles },
  { name: 'Migration20261121155553_one_time_values_and_mail', class: Migration20261121155553_one_time_values_and_mail },
  { name: 'Migration20261121160000_audit_trail', class: Migration20261121160000_audit_trail },
  { name: 'Migration20261121160820_accounts', class: Migration20261121160820_accounts },
  { name: 'Migration20261121161000_operators', class: Migration20261121161000_operators },
  { name: 'Migration20261121182500_sessions_of_user', class: Migration20261121182500_sessions_of_user },
  { name: 'Migration20261122003845_mailed_codes', class: Migration20261122003845_mailed_codes },
  { name: 'Migration20261122014403_sessions_of_impersonator', class: Migration20261122014403_sessions_of_impersonator },
  { name: 'Migration20261129010100_operators_of_project', class: Migration20261129010100_operators_of_project },
  { name: 'Migration20261129010200_one_time_values_of_user', class: Migration20261129010200_one_time_values_of_user },
  { name: 'Migration20261129010300_mails_of_user', class: Migration20261129010300_mails_of_user },
  { name: 'Migration20261129030100_attempt_of_refresh', class: Migration20261129030100_attempt_of_refresh },
  { name: 'Migration20261129030200_session_epoch', class: Migration20261129030200_session_epoch },
  { name: 'Migration20261129030300_heartbeat', class: Migration20261129030300_heartbeat },
  { name: 'Migration20261129040100_token_epoch', class: Migration20261129040100_token_epoch },
  { name: 'Migration20261129040200_sessions_of_user_by_id', class: Migration20261129040200_sessions_of_user_by_id },
  { name: 'Migration20261129060000_first_proof', class: Migration20261129060000_first_proof },
  { name: 'Migration20261129070100_listed_users', class: Migration20261129070100_listed_users },
  { name: 'Migration20261129090000_sweeps', class: Migration20261129090000_sweeps },
  { name: 'Migration20261130120100_audit_seal_version', class: Migration20261130120100_audit_seal_version },
];
