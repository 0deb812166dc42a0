import { Migration } from '@mikro-orm/migrations';

export class Migration20261129040200_sessions_of_user_by_id extends Migration {
  override name = 'Migration20261129040200_sessions_of_user_by_id';

  override up(): void | Promise<void> {
    this.addSql(`drop index "sessions_of_user";`);
    this.addSql(`create index "sessions_of_user" on "sessions" ("user_id", "id");`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop index "sessions_of_user";`);
    this.addSql(`create index "sessions_of_user" on "sessions" ("user_id");`);
  }
}
