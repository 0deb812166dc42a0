import { Migration } from '@mikro-orm/migrations';

export class Migration20261130620100_providers_of_user extends Migration {
  override name = 'Migration20261130620100_providers_of_user';

  override up(): void | Promise<void> {
    this.addSql(`alter table "users" add column "providers" jsonb not null default '["email"]';`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "users" drop column "providers";`);
  }
}
