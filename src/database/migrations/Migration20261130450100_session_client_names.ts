import { Migration } from '@mikro-orm/migrations';

export class Migration20261130450100_session_client_names extends Migration {
  override name = 'Migration20261130450100_session_client_names';

  override up(): void | Promise<void> {
    this.addSql(`alter table "sessions" add "client_name" varchar(100) null;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "sessions" drop column "client_name";`);
  }
}
