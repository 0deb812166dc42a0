import { Migration } from '@mikro-orm/migrations';

export class Migration20261130150500_projects extends Migration {
  override name = 'Migration20261130150500_projects';

  override up(): void | Promise<void> {
    this.addSql(`alter table "projects" add "publishable_key" varchar(63) null;`);
    this.addSql(`alter table "projects" add constraint "projects_publishable_key_unique" unique ("publishable_key");`);
    this.addSql(
      `alter table "project_settings" add "service_keys" jsonb not null default '[]', add "revision" int not null default 0;`,
    );
    this.addSql(`alter table "installation" add "projects_revision" int not null default 0;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "installation" drop "projects_revision";`);
    this.addSql(`alter table "project_settings" drop "service_keys", drop "revision";`);
    this.addSql(`alter table "projects" drop "publishable_key";`);
  }
}
