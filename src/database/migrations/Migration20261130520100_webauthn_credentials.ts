import { Migration } from '@mikro-orm/migrations';

export class Migration20261130520100_webauthn_credentials extends Migration {
  override name = 'Migration20261130520100_webauthn_credentials';

  override up(): void | Promise<void> {
    this.addSql(
      `create table "webauthn_credentials" ("factor_id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "credential_id" bytea not null, "public_key" bytea not null, "sign_count" bigint not null, "backup_eligible" boolean not null, "backed_up" boolean not null, "transports" jsonb not null, "aaguid" uuid not null, primary key ("factor_id"));`,
    );
    this.addSql(
      `alter table "webauthn_credentials" add constraint "webauthn_credentials_id" unique ("project_id", "credential_id");`,
    );
    this.addSql(
      `alter table "webauthn_credentials" add constraint "webauthn_credentials_factor_id_foreign" foreign key ("factor_id") references "factors" ("id") on update cascade on delete cascade;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`drop table "webauthn_credentials";`);
  }
}
