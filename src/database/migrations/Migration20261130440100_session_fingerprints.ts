import { Migration } from '@mikro-orm/migrations';

export class Migration20261130440100_session_fingerprints extends Migration {
  override name = 'Migration20261130440100_session_fingerprints';

  override up(): void | Promise<void> {
    this.addSql(`alter table "sessions" add "fingerprint_id" varchar(128) null;`);
    this.addSql(
      `create index "sessions_of_fingerprint" on "sessions" ("project_id", "fingerprint_id") where "fingerprint_id" is not null and "revoked_at" is null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop index "sessions_of_fingerprint";`);
    this.addSql(`alter table "sessions" drop column "fingerprint_id";`);
  }
}
