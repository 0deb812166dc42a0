import { Migration } from '@mikro-orm/migrations';

export class Migration20261130080100_terms_of_installation extends Migration {
  override name = 'Migration20261130080100_terms_of_installation';

  override up(): void | Promise<void> {
    this.addSql(
      `alter table "installation" add "pepper_checks" jsonb not null default '{}', add "dropped_keys" jsonb not null default '[]', add "issuer" text null;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "installation" drop "pepper_checks", drop "dropped_keys", drop "issuer";`);
  }
}
