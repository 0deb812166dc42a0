import { Migration } from '@mikro-orm/migrations';

export class Migration20261130430100_keys_of_devices extends Migration {
  override name = 'Migration20261130430100_keys_of_devices';

  override up(): void | Promise<void> {
    this.addSql(
      `alter table "api_keys" add column "login_kind" varchar(16) null, add column "client_name" varchar(100) not null default '', add column "address" varchar(64) not null default '', add column "user_agent" varchar(512) not null default '';`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(
      `alter table "api_keys" drop column "login_kind", drop column "client_name", drop column "address", drop column "user_agent";`,
    );
  }
}
