import { Migration } from '@mikro-orm/migrations';

export class Migration20261121155553_one_time_values_and_mail extends Migration {
  override name = 'Migration20261121155553_one_time_values_and_mail';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "one_time_tokens" ("id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "kind" varchar(32) not null, "target" varchar(320) not null, "hash" bytea not null, "lifetime_seconds" int not null, "created_at" timestamptz(3) not null, "sent_at" timestamptz(3) null, "expires_at" timestamptz(3) not null, "used_at" timestamptz(3) null, "voided_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(
      `create unique index "one_time_tokens_open" on "one_time_tokens" ("user_id", "kind") where "used_at" is null and "voided_at" is null;`,
    );
    this.addSql(`create index "one_time_tokens_expiry" on "one_time_tokens" ("expires_at");`);
    this.addSql(`alter table "one_time_tokens" add constraint "one_time_tokens_hash" unique ("project_id", "hash");`);

    this.addSql(
      `create table "mail_outbox" ("id" uuid not null, "project_id" uuid not null, "kind" varchar(32) not null, "recipient" varchar(254) not null, "locale" varchar(35) not null, "token_id" uuid null, "sealed" bytea null, "state" varchar(16) not null, "attempts" int not null, "fault" varchar(32) null, "created_at" timestamptz(3) not null, "due_at" timestamptz(3) not null, "ended_at" timestamptz(3) null, primary key ("id"));`,
    );
    this.addSql(`create index "mail_outbox_due" on "mail_outbox" ("due_at") where "state" = 'queued';`);
    this.addSql(`create index "mail_outbox_order" on "mail_outbox" ("recipient", "id") where "state" = 'queued';`);
    this.addSql(`create index "mail_outbox_token" on "mail_outbox" ("token_id") where "state" = 'queued';`);
    this.addSql(`create index "mail_outbox_ended" on "mail_outbox" ("ended_at");`);

    this.addSql(
      `alter table "one_time_tokens" add constraint "one_time_tokens_project_id_foreign" foreign key ("project_id") references "projects" ("id");`,
    );

    this.addSql(
      `alter table "mail_outbox" add constraint "mail_outbox_project_id_foreign" foreign key ("project_id") references "projects" ("id");`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table if exists "one_time_tokens" cascade;`);
    this.addSql(`drop table if exists "mail_outbox" cascade;`);
  }
}
