import { Migration } from '@mikro-orm/migrations';

export class Migration20261121160820_accounts extends Migration {
  override name = 'Migration20261121160820_accounts';

  override up(): void {
    this.createAccounts();
    this.createInvites();
    this.createUsage();
    this.createReferrals();
    this.openAccounts();
  }

  private createAccounts(): void {
    this.addSql(
      `create table "accounts" ("id" uuid not null, "project_id" uuid not null, "name" varchar(300) not null, "display_code" varchar(8) not null, "owner_id" uuid null, "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, primary key ("id"))`,
    );
    this.addSql(
      `alter table "accounts" add constraint "accounts_display_code_key" unique ("project_id", "display_code")`,
    );
    this.addSql(
      `alter table "accounts" add constraint "accounts_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `alter table "accounts" add constraint "accounts_owner_id_foreign" foreign key ("owner_id") references "users" ("id") on delete set null`,
    );
    this.addSql(
      `create table "subscriptions" ("account_id" uuid not null, "project_id" uuid not null, "plan" varchar(64) not null, "status" varchar(16) not null, "current_period_start" timestamptz(3) null, "current_period_end" timestamptz(3) null, "last_event_at" timestamptz(3) null, "created_at" timestamptz(3) not null, "updated_at" timestamptz(3) not null, primary key ("account_id"))`,
    );
    this.addSql(
      `alter table "subscriptions" add constraint "subscriptions_account_id_foreign" foreign key ("account_id") references "accounts" ("id") on update cascade on delete cascade`,
    );
    this.addSql(
      `alter table "subscriptions" add constraint "subscriptions_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `create table "memberships" ("id" uuid not null, "project_id" uuid not null, "account_id" uuid not null, "user_id" uuid not null, "role" varchar(16) not null, "created_at" timestamptz(3) not null, primary key ("id"))`,
    );
    this.addSql(`create index "memberships_of_account" on "memberships" ("account_id", "id")`);
    this.addSql(`create index "memberships_of_user" on "memberships" ("user_id", "id")`);
    this.addSql(
      `alter table "memberships" add constraint "memberships_key" unique ("project_id", "account_id", "user_id")`,
    );
    this.addSql(
      `alter table "memberships" add constraint "memberships_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `alter table "memberships" add constraint "memberships_account_id_foreign" foreign key ("account_id") references "accounts" ("id")`,
    );
    this.addSql(
      `alter table "memberships" add constraint "memberships_user_id_foreign" foreign key ("user_id") references "users" ("id")`,
    );
  }

  private createInvites(): void {
    this.addSql(
      `create table "account_invites" ("id" uuid not null, "project_id" uuid not null, "account_id" uuid not null, "code_hash" bytea not null, "email" varchar(254) not null, "email_key" varchar(320) not null, "role" varchar(16) not null, "inviter_id" uuid not null, "created_at" timestamptz(3) not null, "expires_at" timestamptz(3) not null, "used_at" timestamptz(3) null, "accepted_by" uuid null, "revoked_at" timestamptz(3) null, primary key ("id"))`,
    );
    this.addSql(`create index "account_invites_of_account" on "account_invites" ("account_id", "id")`);
    this.addSql(
      `create unique index "account_invites_pending" on "account_invites" ("project_id", "account_id", "email_key") where "used_at" is null and "revoked_at" is null`,
    );
    this.addSql(
      `create index "account_invites_by_inviter" on "account_invites" ("inviter_id") where "used_at" is null and "revoked_at" is null`,
    );
    this.addSql(
      `alter table "account_invites" add constraint "account_invites_code_key" unique ("project_id", "code_hash")`,
    );
    this.addSql(
      `alter table "account_invites" add constraint "account_invites_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `alter table "account_invites" add constraint "account_invites_account_id_foreign" foreign key ("account_id") references "accounts" ("id")`,
    );
    this.addSql(
      `alter table "account_invites" add constraint "account_invites_inviter_id_foreign" foreign key ("inviter_id") references "users" ("id")`,
    );
    this.addSql(
      `alter table "account_invites" add constraint "account_invites_accepted_by_foreign" foreign key ("accepted_by") references "users" ("id") on delete set null`,
    );
    this.addSql(
      `create table "invite_codes" ("id" uuid not null, "project_id" uuid not null, "code" varchar(64) not null, "assigned_plan" varchar(64) null, "trial_duration_days" int null, "created_at" timestamptz(3) not null, "expires_at" timestamptz(3) null, "used_at" timestamptz(3) null, "used_by" uuid null, primary key ("id"))`,
    );
    this.addSql(`create index "invite_codes_list" on "invite_codes" ("project_id", "id")`);
    this.addSql(`alter table "invite_codes" add constraint "invite_codes_key" unique ("project_id", "code")`);
    this.addSql(
      `alter table "invite_codes" add constraint "invite_codes_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `alter table "invite_codes" add constraint "invite_codes_used_by_foreign" foreign key ("used_by") references "users" ("id") on delete set null`,
    );
  }

  private createUsage(): void {
    this.addSql(
      `create table "usage_counters" ("project_id" uuid not null, "subject" varchar(160) not null, "used" bigint not null, "anchor_at" timestamptz(3) not null, "resets_at" timestamptz(3) not null, primary key ("project_id", "subject"))`,
    );
    this.addSql(`create index "usage_counters_end" on "usage_counters" ("resets_at")`);
    this.addSql(
      `alter table "usage_counters" add constraint "usage_counters_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `create table "billing_events" ("project_id" uuid not null, "event_id" varchar(128) not null, "received_at" timestamptz(3) not null, primary key ("project_id", "event_id"))`,
    );
    this.addSql(`create index "billing_events_age" on "billing_events" ("received_at")`);
    this.addSql(
      `alter table "billing_events" add constraint "billing_events_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
  }

  private createReferrals(): void {
    this.addSql(
      `create table "referral_codes" ("user_id" uuid not null, "project_id" uuid not null, "code" varchar(32) not null, "created_at" timestamptz(3) not null, primary key ("user_id"))`,
    );
    this.addSql(`alter table "referral_codes" add constraint "referral_codes_key" unique ("project_id", "code")`);
    this.addSql(
      `alter table "referral_codes" add constraint "referral_codes_user_id_foreign" foreign key ("user_id") references "users" ("id") on update cascade on delete cascade`,
    );
    this.addSql(
      `alter table "referral_codes" add constraint "referral_codes_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `create table "referrals" ("referred_id" uuid not null, "project_id" uuid not null, "referrer_id" uuid not null, "created_at" timestamptz(3) not null, primary key ("referred_id"))`,
    );
    this.addSql(`create index "referrals_of_referrer" on "referrals" ("referrer_id")`);
    this.addSql(
      `create unique index "referrals_pair" on "referrals" (least("referrer_id", "referred_id"), greatest("referrer_id", "referred_id"))`,
    );
    this.addSql(
      `alter table "referrals" add constraint "referrals_referred_id_foreign" foreign key ("referred_id") references "users" ("id") on update cascade on delete cascade`,
    );
    this.addSql(
      `alter table "referrals" add constraint "referrals_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `alter table "referrals" add constraint "referrals_referrer_id_foreign" foreign key ("referrer_id") references "users" ("id")`,
    );
  }

  /** For users who registered before accounts existed. Account and membership take over the user's id. */
  private openAccounts(): void {
    // An odd factor permutes the numbers below 2^32, so all display codes differ.
    this.addSql(
      `insert into "accounts" ("id", "project_id", "name", "display_code", "owner_id", "created_at", "updated_at") select "id", "project_id", coalesce(nullif("name", ''), split_part("email", '@', 1)) || $$'s Account$$, upper(lpad(to_hex(row_number() over (order by "id") * 2654435761 % 4294967296), 8, '0')), "id", now(), now() from "users" where not "is_anonymous" and "email" is not null and "deleted_at" is null`,
    );
    this.addSql(
      `insert into "memberships" ("id", "project_id", "account_id", "user_id", "role", "created_at") select "id", "project_id", "id", "owner_id", 'owner', "created_at" from "accounts"`,
    );
    this.addSql(
      `insert into "subscriptions" ("account_id", "project_id", "plan", "status", "created_at", "updated_at") select "id", "project_id", 'pro', 'canceled', "created_at", "created_at" from "accounts"`,
    );
    this.addSql(
      `update "users" set "current_account_id" = "accounts"."id" from "accounts" where "users"."id" = "owner_id"`,
    );
  }
}
