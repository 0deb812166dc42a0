import { Migration } from '@mikro-orm/migrations';

export class Migration20261130620100_providers_of_user extends Migration {
  override name = 'Migration20261130620100_providers_of_user';

  override up(): void | Promise<void> {
    this.addSql(`alter table "users" add column "providers" jsonb not null default '["email"]';`);
    this.addSql(`update "users" set "providers" = '[]' where "is_anonymous" or "deleted_at" is not null;`);
    // Until now a user with an identity and without a password was one who registered with a provider.
    this.addSql(
      `update "users" u set "providers" = case when u.password_hash is null then '[]'::jsonb else '["email"]' end || linked.providers
       from (
         select user_id, jsonb_agg(provider order by first_id) as providers
         from (select user_id, provider, min(id::text) as first_id from "identities" group by user_id, provider) each_provider
         group by user_id
       ) linked
       where linked.user_id = u.id;`,
    );
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "users" drop column "providers";`);
  }
}
