import { Migration } from '@mikro-orm/migrations';

export class Migration20261129030100_attempt_of_refresh extends Migration {
  override name = 'Migration20261129030100_attempt_of_refresh';

  override up(): void | Promise<void> {
    this.addSql(`alter table "sessions" add "attempt_hash" bytea null;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "sessions" drop column "attempt_hash";`);
  }
}
