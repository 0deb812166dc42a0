import type { HandlerContext } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import type { Config } from '../config/config.ts';
import { projectDefaults } from '../config/project-settings.ts';
import { Autocommit } from '../database/autocommit.ts';
import { openClock } from '../database/clock.ts';
import { transact } from '../database/transaction.ts';
import { Projects } from '../project/projects.ts';
import { Operator, recordOperator } from '../user/operator.ts';
import { findByEmail, lockUser, User, type UserRow } from '../user/user.ts';
import { commandLine } from './caller.ts';
import type { Invocation } from './parse.ts';
import type { Terminal } from './terminal.ts';

const roles = { grant: 'operator', revoke: 'engineer' } as const;

/**
 * `admin grant EMAIL [--project PROJECT] [--unverified]`, `admin revoke EMAIL [--project PROJECT]` and `admin list`: manages the operators, who may call AdminService.
 * The first operator is created this way.
 */
export async function manageOperators(
  orm: MikroORM,
  config: Config,
  { command, args: [email = ''], options }: Invocation,
  terminal: Terminal,
): Promise<void> {
  if (command !== 'admin list') {
    const action = command === 'admin grant' ? 'grant' : 'revoke';
    const { now } = await openClock(orm, config.clockOffset);
    const [name = 'default'] = options.get('project') ?? [];
    const projects = new Projects(new Autocommit(orm), projectDefaults(config));
    const project = await projects.find(name);
    if (!project) throw new Error(`there is no project ${name}`);
    const found = await findByEmail(new Autocommit(orm), project.id, email);
    if (!found) throw new Error(`no user has the address ${email}`);
    const mustBeVerified = action === 'grant' && !options.has('unverified');
    await setRole(orm, found, { action, mustBeVerified }, now());
  }
  const em = orm.em.fork();
  const ids = (await em.find(Operator, {})).map(({ userId }) => userId);
  const operators = await em.find(User, { id: { $in: ids } }, { orderBy: { id: 1 } });
  for (const { id, email, emailVerifiedAt } of operators)
    terminal.print(`${id}  ${email ?? ''}${emailVerifiedAt ? '' : '  (not verified)'}`);
}

interface RoleChange {
  readonly action: keyof typeof roles;
  readonly mustBeVerified: boolean;
}

function setRole(orm: MikroORM, found: UserRow, { action, mustBeVerified }: RoleChange, now: Date): Promise<void> {
  return transact(orm, async (em) => {
    const user = await lockUser(em, found.projectId, found.id);
    // Attack: an attacker registers somebody else's address and waits until its user is made an operator.
    if (mustBeVerified && !(user.emailVerifiedAt && user.emailKey === found.emailKey))
      throw new Error(
        `${found.email} is not verified: user ${user.id} registered it on ${user.createdAt.toISOString()}, but has ` +
          'not proved to own it. Ask them to verify it, or add --unverified if you know that it is their user',
      );
    if (user.systemRole === roles[action]) return;
    user.systemRole = roles[action];
    user.updatedAt = now;
    await recordOperator(em, user);
    const context = commandLine(`admin ${action}`, found.projectId) as HandlerContext;
    audit(em, context, { action: `user.${action}_operator`, userId: user.id }, now);
  });
}
