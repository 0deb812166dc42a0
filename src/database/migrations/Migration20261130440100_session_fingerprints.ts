import { Migration } from '@mikro-orm/migrations';

export class Migration20261130440100_session_fingerprints extends Migration {
  override name = 'Migration20261130440100_session_fingerprints';

  override up(): void | Promise<void> {
    this.addSql(`alter table "sessions" add "fingerprint_id" varchar(128) null;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "sessions" drop column "fingerprint_id";`);
  }
}
