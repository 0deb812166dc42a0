import { Migration } from '@mikro-orm/migrations';

export class Migration20261122003845_mailed_codes extends Migration {
  override name = 'Migration20261122003845_mailed_codes';

  override up(): void | Promise<void> {
    this.addSql(
      `alter table "one_time_tokens" add "nonce_hash" bytea null, add "code_hash" bytea null, add "code_tries" smallint null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(
      `alter table "one_time_tokens" drop column "nonce_hash", drop column "code_hash", drop column "code_tries";`,
    );
  }
}
