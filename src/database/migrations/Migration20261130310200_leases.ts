import { Migration } from '@mikro-orm/migrations';

export class Migration20261130310200_leases extends Migration {
  override name = 'Migration20261130310200_leases';

  override up(): void {
    this.addSql(
      `create table "leases" ("name" varchar(32) not null, "holder" varchar(128) null, "until" timestamptz(3) null, primary key ("name"));`,
    );
    this.addSql(
      `insert into "leases" ("name") values ('audit days'), ('audit seals'), ('janitor'), ('mail queue'), ('signing keys');`,
    );
  }

  override down(): void {
    this.addSql(`drop table "leases";`);
  }
}
