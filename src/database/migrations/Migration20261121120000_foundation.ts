import { Migration } from '@mikro-orm/migrations';

export class Migration20261121120000_foundation extends Migration {
  override name = 'Migration20261121120000_foundation';

  override up(): void {
    this.createInstallation();
    this.createUsers();
    this.createSessions();
    this.createAudit();
    this.createRateLimits();
  }

  private createInstallation(): void {
    this.addSql(
      `create table "installation" ("id" smallint primary key, "min_app_version" int not null, "key_checks" jsonb not null)`,
    );
    this.addSql(`insert into "installation" values (1, 1, '{}')`);
    this.addSql(
      `create table "projects" ("id" uuid not null, "slug" varchar(63) not null, "created_at" timestamptz(3) not null, primary key ("id"))`,
    );
    this.addSql(`alter table "projects" add constraint "projects_slug_unique" unique ("slug")`);
    this.addSql(`insert into "projects" values ('00000000-0000-7000-8000-000000000001', 'default', now())`);
    this.addSql(
      `create table "signing_keys" ("id" varchar(43) not null, "state" varchar(8) not null, "algorithm" varchar(16) not null, "public_jwk" jsonb not null, "private_sealed" bytea not null, "created_at" timestamptz(3) not null, "state_changed_at" timestamptz(3) not null, primary key ("id"))`,
    );
    this.addSql(
      `create unique index "signing_keys_active" on "signing_keys" ("state") where "state" in ('active', 'standby')`,
    );
  }

  private createUsers(): void {
    this.addSql(
      `create table "users" ("id" uuid not null, "project_id" uuid not null, "email" varchar(254) null, "email_key" varchar(320) null, "email_verified_at" timestamptz(3) null, "password_hash" text null, "must_change_password" boolean not null default false, "name" varchar(200) not null default '', "is_anonymous" boolean not null default false, "role" varchar(64) not null default 'authenticated', "app_metadata" jsonb not null, "user_metadata" jsonb not null, "banned_until" timestamptz(3) null, "last_sign_in_at" timestamptz(3) null, "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, "deleted_at" timestamptz(3) null, primary key ("id"))`,
    );
    this.addSql(`alter table "users" add constraint "users_email_key" unique ("project_id", "email_key")`);
    this.addSql(
      `alter table "users" add constraint "users_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
  }

  private createSessions(): void {
    // Each page keeps room for new versions of its rows, so that a refresh stays on its page and changes no index (HOT).
    this.addSql(
      `create table "sessions" ("id" uuid not null, "project_id" uuid not null, "user_id" uuid not null, "kind" varchar(16) not null, "aal" smallint not null, "amr" jsonb not null, "generation" int not null, "secret_hash" bytea not null, "user_agent" varchar(512) not null, "address" varchar(64) not null, "created_at" timestamptz(3) not null, "refreshed_at" timestamptz(3) not null, "idle_seconds" int not null, "idle_expires_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "refresh_window_at" timestamptz(3) not null, "refresh_count" int not null, "revoked_at" timestamptz(3) null, "revoke_reason" varchar(32) null, primary key ("id")) with (fillfactor = 80)`,
    );
    this.addSql(`create index "sessions_live" on "sessions" ("user_id", "id") where "revoked_at" is null`);
    this.addSql(`create index "sessions_expiry" on "sessions" ("expires_at")`);
    this.addSql(
      `alter table "sessions" add constraint "sessions_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `alter table "sessions" add constraint "sessions_user_id_foreign" foreign key ("user_id") references "users" ("id")`,
    );
  }

  private createAudit(): void {
    this.addSql(
      `create table "audit_events" ("id" uuid not null, "project_id" uuid not null, "at" timestamptz(3) not null, "action" varchar(64) not null, "result" varchar(16) not null, "cause" varchar(64) null, "actor_kind" varchar(16) not null, "actor_id" varchar(64) null, "user_id" uuid null, "session_id" uuid null, "address" varchar(64) not null, "user_agent" varchar(512) not null, "request_id" varchar(64) not null, primary key ("id"))`,
    );
    this.addSql(`create index "audit_events_user" on "audit_events" ("project_id", "user_id", "id")`);
    this.addSql(
      `alter table "audit_events" add constraint "audit_events_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `create or replace function "audit_events_audit_events_append_only_fn"() returns trigger as $$ begin raise exception 'audit events are never changed' using errcode = '42501'; end; $$ language plpgsql`,
    );
    this.addSql(
      `create trigger "audit_events_append_only" before update or delete on "audit_events" for each statement execute function "audit_events_audit_events_append_only_fn"()`,
    );
    this.addSql(
      `create trigger "audit_events_no_truncate" before truncate on "audit_events" for each statement execute function "audit_events_audit_events_append_only_fn"()`,
    );
  }

  private createRateLimits(): void {
    // Unlogged: a crash loses only the counts of the last minutes.
    this.addSql(
      `create unlogged table "rate_limits" ("project_id" uuid not null, "key" varchar(200) not null, "window_ends_at" timestamptz(3) not null, "hits" int not null, primary key ("project_id", "key"))`,
    );
    this.addSql(`create index "rate_limits_expiry" on "rate_limits" ("window_ends_at")`);
    this.addSql(
      `alter table "rate_limits" add constraint "rate_limits_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
  }
}
