import { Migration } from '@mikro-orm/migrations';

export class Migration20261129010300_mails_of_user extends Migration {
  override name = 'Migration20261129010300_mails_of_user';

  override up(): void | Promise<void> {
    this.addSql(`alter table "mail_outbox" add "user_id" uuid null;`);
    this.addSql(
      `update "mail_outbox" set "user_id" = t."user_id" from "one_time_tokens" t where t."id" = "mail_outbox"."token_id";`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "mail_outbox" drop column "user_id";`);
  }
}
