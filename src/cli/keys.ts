import type { HandlerContext } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import type { Config } from '../config/config.ts';
import { MasterKeys } from '../crypto/master-keys.ts';
import { openClock } from '../database/clock.ts';
import { transact } from '../database/transaction.ts';
import { joinByCommand } from '../project/installation.ts';
import { listKeys, prepareInstallation, revokeKey, rotateKeys } from '../session/key-ring.ts';
import { shellCommand } from '../text/program.ts';
import { commandLine } from './caller.ts';
import type { Invocation } from './parse.ts';
import type { Terminal } from './terminal.ts';

/** `keys list`, `keys rotate [--force]` and `keys revoke KEY-ID`: the keys that sign access tokens. */
export async function manageKeys(
  orm: MikroORM,
  config: Config,
  { command, args: [id = ''], options }: Invocation,
  terminal: Terminal,
): Promise<void> {
  const keys = new MasterKeys(config.masterKeys);
  const { now } = await openClock(orm, config.clockOffset);
  await prepareInstallation(orm, keys, (em) => joinByCommand(em, keys), now());
  if (command === 'keys rotate') await rotate(orm, keys, options.has('force'), now());
  else if (command === 'keys revoke' && !(await revoke(orm, keys, id, now())))
    throw new Error(`there is no key ${id}; name the key to revoke: ${shellCommand('keys list')} shows them`);
  for (const each of await listKeys(orm.em.fork()))
    terminal.print(
      `${each.id}  ${each.state.padEnd(7)}  ${each.algorithm}  since ${each.stateChangedAt.toISOString()}`,
    );
}

function rotate(orm: MikroORM, keys: MasterKeys, force: boolean, now: Date): Promise<void> {
  return transact(orm, async (em) => {
    const { id } = await rotateKeys(em, keys, { force, now });
    audit(em, commandLine('keys rotate') as HandlerContext, { action: 'key.rotate', entityId: id }, now);
  });
}

function revoke(orm: MikroORM, keys: MasterKeys, id: string, now: Date): Promise<boolean> {
  return transact(orm, async (em) => {
    const found = await revokeKey(em, keys, id, now);
    const context = commandLine('keys revoke') as HandlerContext;
    if (found) audit(em, context, { action: 'key.revoke', entityId: id }, now);
    return found;
  });
}
