import { Migration } from '@mikro-orm/migrations';

export class Migration20261129070100_listed_users extends Migration {
  override name = 'Migration20261129070100_listed_users';

  override up(): void {
    this.addSql(`drop index "users_email_prefix"`);
    this.addSql(`drop index "users_banned"`);
    this.index('users_email_prefix', '"email_key" collate "C"');
    this.index('users_created', '"created_at", "id"');
    this.index('users_name', 'lower("name" collate "C"), "id"');
    this.index('users_role', '"system_role" collate "C", "created_at", "id"');
    this.index('users_role_name', '"system_role" collate "C", lower("name" collate "C"), "id"');
    this.index('users_banned', '"created_at", "id"', '"banned_until" is not null and ');
  }

  override down(): void {
    for (const name of ['users_created', 'users_name', 'users_role', 'users_role_name'])
      this.addSql(`drop index "${name}"`);
    this.addSql(`drop index "users_email_prefix"`);
    this.addSql(`drop index "users_banned"`);
    this.addSql(
      `create index "users_email_prefix" on "users" ("project_id", "email_key" text_pattern_ops) where "deleted_at" is null`,
    );
    this.addSql(`create index "users_banned" on "users" ("project_id", "id") where "banned_until" is not null`);
  }

  private index(name: string, columns: string, condition = ''): void {
    const where = `${condition}"deleted_at" is null`;
    this.addSql(`create index "${name}" on "users" ("project_id", ${columns}) where ${where}`);
  }
}
