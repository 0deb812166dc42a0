import { Migration } from '@mikro-orm/migrations';

export class Migration20261130600100_flow_of_one_time_values extends Migration {
  override name = 'Migration20261130600100_flow_of_one_time_values';

  override up(): void | Promise<void> {
    this.addSql(`alter table "one_time_tokens" add "flow" jsonb null;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "one_time_tokens" drop column "flow";`);
  }
}
