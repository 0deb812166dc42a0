import { Migration } from '@mikro-orm/migrations';

export class Migration20261130100100_request_ids extends Migration {
  override name = 'Migration20261130100100_request_ids';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "request_ids" ("project_id" uuid not null, "caller" varchar(80) not null, "method" varchar(64) not null, "request_id" uuid not null, "request_mac" bytea not null, "made" jsonb not null, "expires_at" timestamptz(3) not null, primary key ("project_id", "caller", "method", "request_id"));`,
    );
    this.addSql(`create index "request_ids_expiry" on "request_ids" ("expires_at");`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "request_ids";`);
  }
}
