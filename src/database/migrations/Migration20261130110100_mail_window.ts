import { Migration } from '@mikro-orm/migrations';

export class Migration20261130110100_mail_window extends Migration {
  override name = 'Migration20261130110100_mail_window';

  override up(): void | Promise<void> {
    this.addSql(`alter table "mail_outbox" add "doubts" int not null default 0;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "mail_outbox" drop column "doubts";`);
  }
}
