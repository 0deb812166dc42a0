import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';

const endAll = statement<{ id: string }>(
  'project_end_sessions',
  'update projects set sessions_since = greatest(sessions_since, $2) where id = $1 returning id',
);

/**
 * Ends every session of a project that was opened until now, by one write: each look at a session compares when it was
 * opened with this time.
 */
export async function endProjectSessions(em: EntityManager, projectId: string, now: Date): Promise<void> {
  await endAll(em, [projectId, now]);
}
