import { Migration } from '@mikro-orm/migrations';

export class Migration20261129040100_token_epoch extends Migration {
  override name = 'Migration20261129040100_token_epoch';

  override up(): void | Promise<void> {
    this.addSql(`alter table "sessions" add "token_epoch" int not null default 0;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "sessions" drop column "token_epoch";`);
  }
}
