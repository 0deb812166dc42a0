import type { HandlerContext } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import type { Config } from '../config.ts';
import { openClock } from '../database/clock.ts';
import { Direct } from '../database/direct.ts';
import { transact } from '../database/transaction.ts';
import { defaultProjectId } from '../project/project.ts';
import { findByEmail, lockUser, User } from '../user/user.ts';
import { commandLine } from './caller.ts';
import type { Terminal } from './terminal.ts';

const roles = { grant: 'operator', revoke: 'engineer' } as const;

/** `gatehouse admin grant|revoke EMAIL` and `admin list`: who may call AdminService. Also how there is a first one. */
export async function manageOperators(
  orm: MikroORM,
  config: Config,
  [action = 'list', email]: readonly string[],
  terminal: Terminal,
): Promise<void> {
  if (action === 'grant' || action === 'revoke') {
    const { now } = await openClock(orm, config.clockOffset);
    const found = email && (await findByEmail(new Direct(orm), defaultProjectId, email));
    if (!found) throw new Error(`say whose role it is by their address: gatehouse admin ${action} EMAIL`);
    await setRole(orm, found.id, action, now());
  } else if (action !== 'list')
    throw new Error(`there is no 'admin ${action}'; there are grant EMAIL, revoke EMAIL and list`);
  const operators = await orm.em.fork().find(User, { systemRole: 'operator', deletedAt: null }, { orderBy: { id: 1 } });
  for (const each of operators) terminal.print(`${each.id}  ${each.email ?? ''}`);
}

function setRole(orm: MikroORM, userId: string, action: 'grant' | 'revoke', now: Date): Promise<void> {
  return transact(orm, async (em) => {
    const user = await lockUser(em, defaultProjectId, userId);
    if (user.systemRole === roles[action]) return;
    user.systemRole = roles[action];
    user.updatedAt = now;
    const context = commandLine(`admin ${action}`) as HandlerContext;
    audit(em, context, { action: `user.${action}_operator`, userId }, now);
  });
}
