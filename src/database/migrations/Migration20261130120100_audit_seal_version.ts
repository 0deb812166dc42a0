import { Migration } from '@mikro-orm/migrations';

/**
 * Events name the entity that they concern, seals have a version and a running total, and an anchor stands for the seals
 * that retention deleted. The events of earlier releases are sealed again, because no release can verify their old seals.
 *
 * While replicas of the release before still run, they write events as before, but seal none: they know no version.
 */
export class Migration20261130120100_audit_seal_version extends Migration {
  override name = 'Migration20261130120100_audit_seal_version';

  override up(): void {
    this.addSql(
      `alter table "audit_events" add column "entity_type" varchar(32) not null default '', add column "entity_id" varchar(64) null`,
    );
    this.createQueue();
    this.createSeals();
    this.createAnchors();
    this.addSql(
      `insert into "audit_unsealed" ("id", "project_id", "at") select "id", "project_id", "at" from "audit_events"`,
    );
  }

  private createQueue(): void {
    this.addSql(`drop table "audit_unsealed"`);
    this.addSql(
      `create table "audit_unsealed" ("written_by" xid8 not null default pg_current_xact_id(), "id" uuid not null, "project_id" uuid not null, "at" timestamptz(3) not null, primary key ("written_by", "id")) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
    );
  }

  private createSeals(): void {
    this.addSql(`drop table "audit_seals"`);
    this.addSql(
      `create table "audit_seals" ("project_id" uuid not null, "sequence" int not null, "version" smallint not null, "day" date not null, "first_at" timestamptz(3) not null, "last_at" timestamptz(3) not null, "event_count" int not null, "total" bigint not null, "events" bytea not null, "previous_hash" bytea not null, "hash" bytea not null, "key_id" varchar(64) not null, "sealed_at" timestamptz(3) not null, primary key ("project_id", "sequence"))`,
    );
    // Random bytes compress badly, and parts of them can be read only where they were not compressed.
    this.addSql(`alter table "audit_seals" alter column "events" set storage external`);
    this.addSql(`create index "audit_seals_day" on "audit_seals" ("project_id", "day", "sequence")`);
    this.addSql(
      `create trigger "audit_seals_append_only" before update or delete on "audit_seals" for each statement execute function "audit_seals_audit_seals_append_only_fn"()`,
    );
    this.addSql(
      `create trigger "audit_seals_no_truncate" before truncate on "audit_seals" for each statement execute function "audit_seals_audit_seals_append_only_fn"()`,
    );
  }

  private createAnchors(): void {
    this.addSql(
      `create table "audit_anchors" ("project_id" uuid not null, "version" smallint not null, "sequence" int not null, "hash" bytea not null, "total" bigint not null, "day" date not null, "mac" bytea not null, "key_id" varchar(64) not null, "anchored_at" timestamptz(3) not null, primary key ("project_id"))`,
    );
    // Deletes the seals that the anchors stand for: a seal that is added meanwhile is kept.
    this.addSql(`create or replace function "audit_events_drop_before"(day date) returns int as $$
      declare
        part text;
        dropped int := 0;
      begin
        for part in select relname from pg_inherits join pg_class c on c.oid = inhrelid
          where inhparent = 'audit_events'::regclass and relname ~ '^audit_events_\\d{8}$' and right(relname, 8) < to_char(day, 'YYYYMMDD')
        loop
          execute format('drop table %I', part);
          dropped := dropped + 1;
        end loop;
        perform set_config('gatehouse.retention', 'on', true);
        delete from audit_seals s using audit_anchors a where a.project_id = s.project_id and s.sequence <= a.sequence;
        perform set_config('gatehouse.retention', 'off', true);
        return dropped;
      end; $$ language plpgsql`);
  }
}
