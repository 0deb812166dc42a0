import { ConcurrentMigration } from './concurrent-migration.ts';

/** For a code that is typed with the new address of a user. Few values are open at a time. */
export class Migration20261130600200_codes_to_new_addresses extends ConcurrentMigration {
  override name = 'Migration20261130600200_codes_to_new_addresses';

  override up(): void {
    this.createIndex(
      'one_time_tokens_of_new_address',
      'one_time_tokens',
      `("project_id", "target", "id") where "kind" = 'email_change' and "used_at" is null and "voided_at" is null and "code_hash" is not null`,
    );
  }

  override down(): void {
    this.dropIndex('one_time_tokens_of_new_address');
  }
}
