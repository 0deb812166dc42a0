import { Migration } from '@mikro-orm/migrations';

export class Migration20261129010200_one_time_values_of_user extends Migration {
  override name = 'Migration20261129010200_one_time_values_of_user';

  override up(): void | Promise<void> {
    this.addSql(`alter table "one_time_tokens" drop constraint "one_time_tokens_hash";`);
    this.addSql(
      `alter table "one_time_tokens" add constraint "one_time_tokens_hash" unique ("project_id", "user_id", "hash");`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "one_time_tokens" drop constraint "one_time_tokens_hash";`);
    this.addSql(`alter table "one_time_tokens" add constraint "one_time_tokens_hash" unique ("project_id", "hash");`);
  }
}
