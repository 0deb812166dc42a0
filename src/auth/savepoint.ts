import type { EntityManager } from '@mikro-orm/postgresql';

/** Runs the work and returns its result. False discards what the work has written. */
export async function inSavepoint(em: EntityManager, work: () => Promise<boolean>): Promise<boolean> {
  await em.execute('savepoint registration');
  const isKept = await work();
  await em.execute(isKept ? 'release savepoint registration' : 'rollback to savepoint registration');
  return isKept;
}
