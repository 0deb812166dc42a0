import { Migration } from '@mikro-orm/migrations';

export class Migration20261130080200_hash_shares extends Migration {
  override name = 'Migration20261130080200_hash_shares';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "hash_shares" ("project_id" uuid not null, "seed" bytea not null, "shares" jsonb not null, "looked_at" timestamptz(3) not null, primary key ("project_id"));`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "hash_shares";`);
  }
}
