import { Migration } from '@mikro-orm/migrations';

export class Migration20261129010100_operators_of_project extends Migration {
  override name = 'Migration20261129010100_operators_of_project';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "operators" ("user_id" uuid not null, "project_id" uuid not null, "banned_until" timestamptz(3) null, primary key ("user_id"));`,
    );
    this.addSql(
      `alter table "operators" add constraint "operators_user_id_foreign" foreign key ("user_id") references "users" ("id") on update cascade on delete cascade;`,
    );
    this.addSql(
      `alter table "operators" add constraint "operators_project_id_foreign" foreign key ("project_id") references "projects" ("id");`,
    );
    this.addSql(
      `insert into "operators" ("user_id", "project_id", "banned_until") select "id", "project_id", "banned_until" from "users" where "system_role" = 'operator' and "deleted_at" is null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "operators";`);
  }
}
