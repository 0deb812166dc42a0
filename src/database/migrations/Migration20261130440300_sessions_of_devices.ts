import { ConcurrentMigration } from './concurrent-migration.ts';

/** For the list of a user's devices, however many other sessions they had. */
export class Migration20261130440300_sessions_of_devices extends ConcurrentMigration {
  override name = 'Migration20261130440300_sessions_of_devices';

  override up(): void {
    this.createIndex('sessions_of_devices', 'sessions', `("user_id", "id") where "kind" in ('cli', 'device')`);
  }

  override down(): void {
    this.dropIndex('sessions_of_devices');
  }
}
