import { Migration } from '@mikro-orm/migrations';

/** Partitions the audit trail by day and adds its seals. Existing rows are moved. */
export class Migration20261121160000_audit_trail extends Migration {
  override name = 'Migration20261121160000_audit_trail';

  override up(): void {
    this.setOldTrailAside();
    this.createTrail();
    this.createSeals();
    this.createDays();
    this.createUpkeep();
    this.addSql(
      `select "audit_events_add_day"(day, null) from (select distinct (at at time zone 'UTC')::date as day from "audit_events_before" union select (now() at time zone 'UTC')::date + n from generate_series(-1, 7) n) days`,
    );
    this.addSql(`insert into "audit_events" select * from "audit_events_before" order by "id"`);
    this.addSql(`drop table "audit_events_before"`);
  }

  private setOldTrailAside(): void {
    this.addSql(`drop trigger "audit_events_append_only" on "audit_events"`);
    this.addSql(`drop trigger "audit_events_no_truncate" on "audit_events"`);
    this.addSql(`alter table "audit_events" drop constraint "audit_events_project_id_foreign"`);
    this.addSql(`alter table "audit_events" rename to "audit_events_before"`);
    this.addSql(`alter index "audit_events_pkey" rename to "audit_events_before_pkey"`);
    this.addSql(`drop index "audit_events_user"`);
  }

  private createTrail(): void {
    // Without a foreign key: dropping a day would have to lock the table of projects, and every sign-in with it.
    this.addSql(
      `create table "audit_events" ("id" uuid not null, "project_id" uuid not null, "at" timestamptz(3) not null, "action" varchar(64) not null, "result" varchar(16) not null, "cause" varchar(64) null, "actor_kind" varchar(16) not null, "actor_id" varchar(64) null, "user_id" uuid null, "session_id" uuid null, "address" varchar(64) not null, "user_agent" varchar(512) not null, "request_id" varchar(64) not null, primary key ("project_id", "at", "id")) partition by range ("at")`,
    );
    this.addSql(`create index "audit_events_user" on "audit_events" ("project_id", "user_id", "at", "id")`);
    this.addSql(
      `create trigger "audit_events_append_only" before update or delete on "audit_events" for each statement execute function "audit_events_audit_events_append_only_fn"()`,
    );
    this.addSql(
      `create trigger "audit_events_no_truncate" before truncate on "audit_events" for each statement execute function "audit_events_audit_events_append_only_fn"()`,
    );
    // Vacuumed by the number of inserted and deleted rows: the queue is nearly always empty.
    this.addSql(
      `create table "audit_unsealed" ("id" uuid not null, "project_id" uuid not null, "at" timestamptz(3) not null, primary key ("project_id", "at", "id")) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
    );
    this.addSql(
      `create or replace function "audit_events_audit_events_queue_fn"() returns trigger as $$ begin insert into audit_unsealed (id, project_id, at) values (new.id, new.project_id, new.at); return null; end; $$ language plpgsql`,
    );
    this.addSql(
      `create trigger "audit_events_queue" after insert on "audit_events" for each row execute function "audit_events_audit_events_queue_fn"()`,
    );
  }

  private createSeals(): void {
    this.addSql(
      `create table "audit_seals" ("project_id" uuid not null, "sequence" int not null, "day" date not null, "first_at" timestamptz(3) not null, "last_at" timestamptz(3) not null, "event_count" int not null, "events" bytea not null, "previous_hash" bytea not null, "hash" bytea not null, "key_id" varchar(64) not null, "sealed_at" timestamptz(3) not null, primary key ("project_id", "sequence"))`,
    );
    // Random bytes compress badly, and parts of them can be read only where they were not compressed.
    this.addSql(`alter table "audit_seals" alter column "events" set storage external`);
    this.addSql(`create index "audit_seals_day" on "audit_seals" ("project_id", "day", "sequence")`);
    this.addSql(
      `alter table "audit_seals" add constraint "audit_seals_project_id_foreign" foreign key ("project_id") references "projects" ("id")`,
    );
    this.addSql(
      `create or replace function "audit_seals_audit_seals_append_only_fn"() returns trigger as $$ begin if tg_op = 'DELETE' and current_setting('gatehouse.retention', true) = 'on' then return null; end if; raise exception 'audit seals are never changed' using errcode = '42501'; end; $$ language plpgsql`,
    );
    this.addSql(
      `create trigger "audit_seals_append_only" before update or delete on "audit_seals" for each statement execute function "audit_seals_audit_seals_append_only_fn"()`,
    );
    this.addSql(
      `create trigger "audit_seals_no_truncate" before truncate on "audit_seals" for each statement execute function "audit_seals_audit_seals_append_only_fn"()`,
    );
  }

  private createDays(): void {
    // Created beside the trail, filled from the default partition, then attached: writers of other days are not blocked.
    // Triggers of statements fire for the table that the statement names, so each partition needs its own.
    this.addSql(`create function "audit_events_add_part"(part text, bound text, since timestamptz, until timestamptz, source text) returns void as $$
      begin
        execute format('create table %I (like audit_events including defaults including constraints including indexes)', part);
        if source is not null then
          execute format('insert into %I select * from %I where at >= $1 and at < $2', part, source) using since, until;
        end if;
        execute format('create trigger audit_events_append_only before update or delete on %I for each statement execute function audit_events_audit_events_append_only_fn()', part);
        execute format('create trigger audit_events_no_truncate before truncate on %I for each statement execute function audit_events_audit_events_append_only_fn()', part);
        execute format('alter table audit_events attach partition %I %s', part, bound);
      end; $$ language plpgsql`);
    this.addSql(`create function "audit_events_add_day"(day date, source text) returns boolean as $$
      declare
        part text := 'audit_events_' || to_char(day, 'YYYYMMDD');
        since timestamptz := day::timestamp at time zone 'UTC';
        until timestamptz := (day + 1)::timestamp at time zone 'UTC';
      begin
        if to_regclass(part) is not null then return false; end if;
        perform audit_events_add_part(part, format('for values from (%L) to (%L)', since, until), since, until, source);
        return true;
      end; $$ language plpgsql`);
  }

  private createUpkeep(): void {
    // The default partition receives events dated far from today. Its rows move directly into partitions of their days:
    // moved through the trail, they would be queued for sealing a second time.
    this.addSql(`create function "audit_events_refile"() returns int as $$
      declare days int;
      begin
        if not exists (select from audit_events_default) then return 0; end if;
        alter table audit_events detach partition audit_events_default;
        alter table audit_events_default rename to audit_events_misfiled;
        perform audit_events_add_part('audit_events_default', 'default', null, null, null);
        select count(audit_events_add_day(day, 'audit_events_misfiled')) into days
          from (select distinct (at at time zone 'UTC')::date as day from audit_events_misfiled) misfiled;
        drop table audit_events_misfiled;
        return days;
      end; $$ language plpgsql`);
    this.addSql(`create function "audit_events_drop_before"(day date) returns int as $$
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
        delete from audit_seals s where s.day < $1 and s.sequence < coalesce(
          (select min(sequence) from audit_seals k where k.project_id = s.project_id and k.day >= $1),
          (select max(sequence) from audit_seals k where k.project_id = s.project_id));
        perform set_config('gatehouse.retention', 'off', true);
        return dropped;
      end; $$ language plpgsql`);
    this.addSql(`select "audit_events_add_part"('audit_events_default', 'default', null, null, null)`);
  }
}
