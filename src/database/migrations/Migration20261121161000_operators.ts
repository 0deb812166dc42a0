import { Migration } from '@mikro-orm/migrations';

export class Migration20261121161000_operators extends Migration {
  override name = 'Migration20261121161000_operators';

  override up(): void {
    this.addSql(`alter table "sessions" add "impersonator_id" uuid null`);
    this.addSql(`alter table "projects" add "sessions_since" timestamptz(3) null`);
    this.addSql(
      `create table "project_settings" ("project_id" uuid not null, "settings" jsonb not null, "updated_at" timestamptz(3) not null, primary key ("project_id"))`,
    );
    this.addSql(
      `alter table "project_settings" add constraint "project_settings_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    // Ordered by the bytes of the key: in the order of a locale, keys with a common prefix are not adjacent.
    this.addSql(
      `create index "users_email_prefix" on "users" ("project_id", "email_key" text_pattern_ops) where "deleted_at" is null`,
    );
    this.addSql(`create index "users_banned" on "users" ("project_id", "id") where "banned_until" is not null`);
  }
}
