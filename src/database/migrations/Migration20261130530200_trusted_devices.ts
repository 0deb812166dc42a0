import { Migration } from '@mikro-orm/migrations';

export class Migration20261130530200_trusted_devices extends Migration {
  override name = 'Migration20261130530200_trusted_devices';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "trusted_devices" ("id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "hash" bytea not null, "address" varchar(64) not null, "user_agent" varchar(512) not null, "created_at" timestamptz(3) not null, "last_used_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "session_epoch" int not null default 0, primary key ("id"));`,
    );
    this.addSql(
      `alter table "trusted_devices" add constraint "trusted_devices_hash" unique ("project_id", "user_id", "hash");`,
    );
    this.addSql(`create index "trusted_devices_of_user" on "trusted_devices" ("user_id", "id");`);
    this.addSql(`create index "trusted_devices_expiry" on "trusted_devices" ("expires_at");`);
    this.addSql(`alter table "sessions" add "trusted_device_id" uuid null;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "sessions" drop column "trusted_device_id";`);
    this.addSql(`drop table "trusted_devices";`);
  }
}
