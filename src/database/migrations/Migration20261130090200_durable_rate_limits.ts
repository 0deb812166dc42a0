import { Migration } from '@mikro-orm/migrations';

export class Migration20261130090200_durable_rate_limits extends Migration {
  override name = 'Migration20261130090200_durable_rate_limits';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "durable_rate_limits" ("project_id" uuid not null, "key" varchar(200) not null, "window_ends_at" timestamptz(3) not null, "hits" int not null, primary key ("project_id", "key"));`,
    );
    this.addSql(`create index "durable_rate_limits_expiry" on "durable_rate_limits" ("window_ends_at");`);
    this.addSql(
      `with "moved" as (delete from "rate_limits" where "key" ~ '^(password|own password|code) (recent|streak) |^mail (gap|hour) ' returning "project_id", "key", "window_ends_at", "hits") insert into "durable_rate_limits" ("project_id", "key", "window_ends_at", "hits") select "project_id", "key", "window_ends_at", "hits" from "moved";`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "durable_rate_limits";`);
  }
}
