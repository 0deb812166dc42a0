import { Migration } from '@mikro-orm/migrations';

export class Migration20261130010200_hold_project extends Migration {
  override name = 'Migration20261130010200_hold_project';

  override up(): void | Promise<void> {
    // Each statement of a volatile function has a snapshot of its own: this one is taken after the wait for the lock.
    this.addSql(`create function "hold_project" (project uuid, is_exclusive boolean) returns int language plpgsql volatile as $$
      begin
        if is_exclusive then
          perform pg_advisory_xact_lock(hashtextextended(project::text, 0));
        else
          perform pg_advisory_xact_lock_shared(hashtextextended(project::text, 0));
        end if;
        -- With one snapshot for the transaction, an epoch that was raised meanwhile is a conflict.
        if current_setting('transaction_isolation') <> 'read committed' then
          perform 1 from projects p where p.id = project for share;
        end if;
        return (select p.session_epoch from projects p where p.id = project);
      end $$;`);
  }

  override down(): void | Promise<void> {
    this.addSql(`drop function "hold_project";`);
  }
}
