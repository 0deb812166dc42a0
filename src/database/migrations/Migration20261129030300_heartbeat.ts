import { Migration } from '@mikro-orm/migrations';

export class Migration20261129030300_heartbeat extends Migration {
  override name = 'Migration20261129030300_heartbeat';

  override up(): void | Promise<void> {
    this.addSql(`create table "heartbeat" ("id" smallint not null, "at" timestamptz(3) null, primary key ("id"));`);
    this.addSql(`insert into "heartbeat" ("id", "at") values (1, null);`);
    this.addSql(
      `create table "database_outages" ("started_at" timestamptz(3) not null, "ended_at" timestamptz(3) not null, primary key ("started_at"));`,
    );
    this.addSql(`create index "database_outages_end" on "database_outages" ("ended_at");`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "database_outages";`);
    this.addSql(`drop table "heartbeat";`);
  }
}
