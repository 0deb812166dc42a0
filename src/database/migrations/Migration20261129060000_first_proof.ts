import { Migration } from '@mikro-orm/migrations';

export class Migration20261129060000_first_proof extends Migration {
  override name = 'Migration20261129060000_first_proof';

  override up(): void {
    this.addSql(`alter table "users" add "established_at" timestamptz(3) null`);
    this.addSql(
      `alter table "account_invites" add "by_mail_only" boolean null, alter column "inviter_id" drop not null`,
    );
    this.addSql(`alter table "memberships" add "joined_by" varchar(16) null, add "mailed_to" varchar(320) null`);
    // Of earlier invitations nobody knows whether the code was read from the mail.
    this.addSql(
      `update "memberships" m set "joined_by" = case when m."role" = 'owner' then 'opened' when exists (select 1 from "account_invites" i where i."account_id" = m."account_id" and i."accepted_by" = m."user_id") then 'invite' else 'service' end`,
    );
  }

  override down(): void {
    this.addSql(`alter table "memberships" drop column "joined_by", drop column "mailed_to"`);
    this.addSql(`delete from "account_invites" where "inviter_id" is null`);
    this.addSql(`alter table "account_invites" drop column "by_mail_only", alter column "inviter_id" set not null`);
    this.addSql(`alter table "users" drop column "established_at"`);
  }
}
