import { ConcurrentMigration } from './concurrent-migration.ts';

/** For the claim of mails by domain. The outbox may be long when this version is installed. */
export class Migration20261130310100_mails_of_domain extends ConcurrentMigration {
  override name = 'Migration20261130310100_mails_of_domain';

  override up(): void {
    this.createIndex(
      'mail_outbox_domain',
      'mail_outbox',
      `(lower(split_part("recipient", '@', -1)), "due_at") where "state" = 'queued'`,
    );
  }

  override down(): void {
    this.dropIndex('mail_outbox_domain');
  }
}
