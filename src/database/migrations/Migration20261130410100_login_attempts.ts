import { Migration } from '@mikro-orm/migrations';

export class Migration20261130410100_login_attempts extends Migration {
  override name = 'Migration20261130410100_login_attempts';

  override up(): void | Promise<void> {
    // The fillfactor leaves room in each page for the stamps of polls.
    this.addSql(
      `create table "login_attempts" ("id" uuid not null, "project_id" uuid not null, "kind" varchar(16) not null, "state" varchar(16) not null, "code_hash" bytea not null, "polling_hash" bytea null, "client_name" varchar(100) not null, "address" varchar(64) not null, "user_agent" varchar(512) not null, "comparison" varchar(2) not null, "about" jsonb not null, "user_id" uuid null, "approver_session_id" uuid null, "approver_epoch" int null, "approver_authenticated_at" timestamptz(3) null, "minted_id" uuid null, "nonce_hash" bytea null, "created_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "changed_at" timestamptz(3) null, "polled_at" timestamptz(3) null, "poll_interval" smallint not null, primary key ("id")) with (fillfactor = 80);`,
    );
    this.addSql(
      `alter table "login_attempts" add constraint "login_attempts_code" unique ("project_id", "kind", "code_hash");`,
    );
    this.addSql(
      `create unique index "login_attempts_polling" on "login_attempts" ("project_id", "polling_hash") where "polling_hash" is not null;`,
    );
    this.addSql(
      `create index "login_attempts_changed" on "login_attempts" ("changed_at") where "changed_at" is not null;`,
    );
    this.addSql(
      `create index "login_attempts_of_user" on "login_attempts" ("user_id", "expires_at") where "user_id" is not null;`,
    );
    this.addSql(`create index "login_attempts_expiry" on "login_attempts" ("expires_at");`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "login_attempts";`);
  }
}
