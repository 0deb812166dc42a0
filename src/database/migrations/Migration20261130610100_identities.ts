import { Migration } from '@mikro-orm/migrations';

export class Migration20261130610100_identities extends Migration {
  override name = 'Migration20261130610100_identities';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "identities" ("id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "provider" varchar(32) not null, "subject" varchar(255) not null, "email" varchar(254) null, "email_key" varchar(320) null, "email_verified" boolean not null, "name" varchar(200) not null, "username" varchar(200) not null, "picture_url" varchar(2000) not null, "created_at" timestamptz(3) not null, "last_sign_in_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(
      `alter table "identities" add constraint "identities_subject" unique ("project_id", "provider", "subject");`,
    );
    this.addSql(`create index "identities_of_user" on "identities" ("user_id");`);
    this.addSql(
      `create table "oauth_states" ("id" uuid not null, "project_id" uuid not null, "hash" bytea not null, "provider" varchar(32) not null, "client_hash" bytea null, "sealed" bytea not null, "user_id" uuid null, "session_id" uuid null, "token_epoch" int null, "created_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "used_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(`alter table "oauth_states" add constraint "oauth_states_hash" unique ("project_id", "hash");`);
    this.addSql(`create index "oauth_states_expiry" on "oauth_states" ("expires_at");`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "oauth_states";`);
    this.addSql(`drop table "identities";`);
  }
}
