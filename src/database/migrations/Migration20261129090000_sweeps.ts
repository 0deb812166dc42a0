import { Migration } from '@mikro-orm/migrations';

export class Migration20261129090000_sweeps extends Migration {
  override name = 'Migration20261129090000_sweeps';

  override up(): void | Promise<void> {
    this.addSql(`create index "users_guests" on "users" ("created_at") where "is_anonymous";`);
    this.addSql(`create index "account_invites_expiry" on "account_invites" ("expires_at");`);
    this.addSql(`create index "invite_codes_expiry" on "invite_codes" ("expires_at") where "used_at" is null;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop index "users_guests";`);
    this.addSql(`drop index "account_invites_expiry";`);
    this.addSql(`drop index "invite_codes_expiry";`);
  }
}
