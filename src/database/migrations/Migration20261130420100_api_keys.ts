import { Migration } from '@mikro-orm/migrations';

export class Migration20261130420100_api_keys extends Migration {
  override name = 'Migration20261130420100_api_keys';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "api_keys" ("id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "hash" bytea not null, "prefix" varchar(20) not null, "name" varchar(100) not null, "scopes" jsonb not null, "created_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "last_used_at" timestamptz(3) null, "revoked_at" timestamptz(3) null, "session_epoch" int not null default 0, "login_kind" varchar(16) null, "client_name" varchar(100) not null default '', "address" varchar(64) not null default '', "user_agent" varchar(512) not null default '', primary key ("id"));`,
    );
    this.addSql(`alter table "api_keys" add constraint "api_keys_hash" unique ("project_id", "user_id", "hash");`);
    this.addSql(`create index "api_keys_of_user" on "api_keys" ("user_id", "id");`);
    this.addSql(`create index "api_keys_live" on "api_keys" ("user_id", "expires_at") where "revoked_at" is null;`);
    this.addSql(`create index "api_keys_of_devices" on "api_keys" ("user_id", "id") where "login_kind" is not null;`);
    this.addSql(`create index "api_keys_expiry" on "api_keys" ("expires_at");`);
    this.addSql(`create index "api_keys_revocation" on "api_keys" ("revoked_at") where "revoked_at" is not null;`);
    this.addSql(
      `alter table "api_keys" add constraint "api_keys_user_id_foreign" foreign key ("user_id") references "users" ("id");`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "api_keys";`);
  }
}
