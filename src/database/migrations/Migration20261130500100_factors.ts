import { Migration } from '@mikro-orm/migrations';

export class Migration20261130500100_factors extends Migration {
  override name = 'Migration20261130500100_factors';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "challenges" ("id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "session_id" uuid not null, "factor_id" uuid not null, "purpose" varchar(32) not null, "challenge" bytea not null, "attempts" smallint not null, "created_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "used_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(`create index "challenges_expiry" on "challenges" ("expires_at");`);
    this.addSql(
      `create table "factors" ("id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "type" varchar(16) not null, "friendly_name" varchar(100) not null, "secret_sealed" bytea null, "last_step" int null, "verified_at" timestamptz(3) null, "created_at" timestamptz(3) not null, "last_used_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(`create index "factors_of_user" on "factors" ("user_id", "id");`);
    this.addSql(
      `create table "recovery_codes" ("id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "factor_id" uuid not null, "hash" bytea not null, "created_at" timestamptz(3) not null, "used_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(`create index "recovery_codes_of_factor" on "recovery_codes" ("factor_id");`);
    this.addSql(
      `alter table "recovery_codes" add constraint "recovery_codes_hash" unique ("project_id", "user_id", "hash");`,
    );
    this.addSql(`alter table "users" add "factor_count" smallint not null default 0;`);
    this.addSql(`alter table "sessions" add "factor_id" uuid null;`);
    this.addSql(
      `alter table "factors" add constraint "factors_user_id_foreign" foreign key ("user_id") references "users" ("id");`,
    );
    this.addSql(
      `alter table "recovery_codes" add constraint "recovery_codes_factor_id_foreign" foreign key ("factor_id") references "factors" ("id") on delete cascade;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "challenges";`);
    this.addSql(`drop table "recovery_codes";`);
    this.addSql(`drop table "factors";`);
    this.addSql(`alter table "sessions" drop column "factor_id";`);
    this.addSql(`alter table "users" drop column "factor_count";`);
  }
}
