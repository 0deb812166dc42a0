import { Migration } from '@mikro-orm/migrations';

export class Migration20261121182500_sessions_of_user extends Migration {
  override name = 'Migration20261121182500_sessions_of_user';

  override up(): void | Promise<void> {
    this.addSql(`create index "sessions_of_user" on "sessions" ("user_id");`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop index "sessions_of_user";`);
  }
}
