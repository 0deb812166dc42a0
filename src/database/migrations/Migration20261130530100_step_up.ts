import { Migration } from '@mikro-orm/migrations';

export class Migration20261130530100_step_up extends Migration {
  override name = 'Migration20261130530100_step_up';

  override up(): void | Promise<void> {
    this.addSql(`alter table "challenges" add "about" jsonb null;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "challenges" drop column "about";`);
  }
}
