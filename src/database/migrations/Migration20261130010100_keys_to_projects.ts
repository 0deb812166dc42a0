import { Migration } from '@mikro-orm/migrations';

const tables = [
  'one_time_tokens',
  'mail_outbox',
  'subscriptions',
  'memberships',
  'account_invites',
  'invite_codes',
  'usage_counters',
  'billing_events',
  'referral_codes',
  'referrals',
  'project_settings',
  'sessions',
  'rate_limits',
  'operators',
  'audit_seals',
];

export class Migration20261130010100_keys_to_projects extends Migration {
  override name = 'Migration20261130010100_keys_to_projects';

  override up(): void | Promise<void> {
    for (const table of tables) this.addSql(`alter table "${table}" drop constraint "${table}_project_id_foreign";`);
  }

  override down(): void | Promise<void> {
    for (const table of tables)
      this.addSql(
        `alter table "${table}" add constraint "${table}_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete no action;`,
      );
  }
}
