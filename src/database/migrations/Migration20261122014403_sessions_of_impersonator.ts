import { Migration } from '@mikro-orm/migrations';

export class Migration20261122014403_sessions_of_impersonator extends Migration {
  override name = 'Migration20261122014403_sessions_of_impersonator';

  override up(): void | Promise<void> {
    this.addSql(
      `create index "sessions_of_impersonator" on "sessions" ("impersonator_id") where "impersonator_id" is not null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop index "sessions_of_impersonator";`);
  }
}
