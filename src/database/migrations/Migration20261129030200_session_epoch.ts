import { Migration } from '@mikro-orm/migrations';

export class Migration20261129030200_session_epoch extends Migration {
  override name = 'Migration20261129030200_session_epoch';

  override up(): void | Promise<void> {
    this.addSql(`alter table "projects" add "session_epoch" int not null default 0;`);
    this.addSql(`alter table "sessions" add "session_epoch" int not null default 0;`);
    // The sessions that were revoked by time keep epoch 0.
    this.addSql(`update "projects" set "session_epoch" = 1 where "sessions_since" is not null;`);
    this.addSql(
      `update "sessions" s set "session_epoch" = 1 from "projects" p
       where p."id" = s."project_id" and s."created_at" > p."sessions_since";`,
    );
    this.addSql(`alter table "projects" drop column "sessions_since";`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "projects" add "sessions_since" timestamptz(3) null;`);
    this.addSql(
      `update "sessions" s set "revoked_at" = now(), "revoke_reason" = 'operator' from "projects" p
       where p."id" = s."project_id" and s."session_epoch" <> p."session_epoch" and s."revoked_at" is null;`,
    );
    this.addSql(`alter table "sessions" drop column "session_epoch";`);
    this.addSql(`alter table "projects" drop column "session_epoch";`);
  }
}
