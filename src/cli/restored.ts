import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import type { Config } from '../config/config.ts';
import { openClock } from '../database/clock.ts';
import { transact } from '../database/transaction.ts';
import { voidAllOfProject } from '../one-time/token.ts';
import { Project } from '../project/project.ts';
import { kProject } from '../rpc/context.ts';
import { revokeSessionsOfProject } from '../session/revocation.ts';
import { counted } from '../text/counted.ts';
import { commandLine } from './caller.ts';
import type { Terminal } from './terminal.ts';

/**
 * `installation restored`: makes an older state of the database safe. Sessions that were revoked and links that were used
 * after that state would be valid again. Nothing in the database says which, so all of them are revoked.
 */
export async function recoverFromRestore(orm: MikroORM, config: Config, terminal: Terminal): Promise<void> {
  const { now } = await openClock(orm, config.clockOffset);
  const lines = await transact(orm, async (em) => {
    const projects = await em.find(Project, {}, { orderBy: { id: 1 } });
    const done: string[] = [];
    for (const project of projects) done.push(await recover(em, project, now()));
    return done;
  });
  for (const line of lines) terminal.print(line);
}

async function recover(em: EntityManager, { id, slug }: Project, now: Date): Promise<string> {
  await revokeSessionsOfProject(em, id);
  const values = await voidAllOfProject(em, id, now);
  const context = commandLine('installation restored');
  context.values.set(kProject, id);
  audit(em, context as HandlerContext, { action: 'project.revoke_sessions' }, now);
  return `${slug}  every session and API key is revoked, ${counted(values, 'link or code', 'links and codes')} voided`;
}
