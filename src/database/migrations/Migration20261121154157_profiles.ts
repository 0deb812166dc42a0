import { Migration } from '@mikro-orm/migrations';

export class Migration20261121154157_profiles extends Migration {
  override name = 'Migration20261121154157_profiles';

  override up(): void | Promise<void> {
    this.addSql(
      `alter table "users" add "phone" varchar(32) not null default '', add "job_title" varchar(200) not null default '', add "timezone" varchar(64) not null default '', add "locale" varchar(35) not null default '', add "pending_email" varchar(254) null, add "system_role" varchar(16) not null default 'engineer', add "current_account_id" uuid null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(
      `alter table "users" drop column "phone", drop column "job_title", drop column "timezone", drop column "locale", drop column "pending_email", drop column "system_role", drop column "current_account_id";`,
    );
  }
}
