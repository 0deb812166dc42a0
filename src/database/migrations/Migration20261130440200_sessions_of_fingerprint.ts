import { ConcurrentMigration } from './concurrent-migration.ts';

/** For the owner of a machine. Few sessions have a fingerprint. */
export class Migration20261130440200_sessions_of_fingerprint extends ConcurrentMigration {
  override name = 'Migration20261130440200_sessions_of_fingerprint';

  override up(): void {
    this.createIndex(
      'sessions_of_fingerprint',
      'sessions',
      `("project_id", "fingerprint_id") where "fingerprint_id" is not null and "revoked_at" is null`,
    );
  }

  override down(): void {
    this.dropIndex('sessions_of_fingerprint');
  }
}
