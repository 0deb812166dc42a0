import type { HandlerContext } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import type { Config } from '../config/config.ts';
import { MasterKeys } from '../crypto/master-keys.ts';
import { openClock } from '../database/clock.ts';
import { transact } from '../database/transaction.ts';
import { joinByCommand } from '../project/installation.ts';
import { listKeys, prepareInstallation, revokeKey, rotateKeys } from '../session/key-ring.ts';
import { commandLine } from './caller.ts';
import type { Terminal } from './terminal.ts';

/** `gatehouse keys list|rotate [--force]|revoke KEY-ID`: the keys that sign access tokens. */
export async function manageKeys(
  orm: MikroORM,
  config: Config,
  args: readonly string[],
  terminal: Terminal,
): Promise<void> {
  const [action = 'list', id] = args;
  if (!/^(list|rotate|rotate --force|revoke( \S+)?)?$/.test(args.join(' ')))
    throw new Error(`there is no 'keys ${args.join(' ')}'; there are list, rotate [--force] and revoke KEY-ID`);
  const keys = new MasterKeys(config.masterKeys);
  const { now } = await openClock(orm, config.clockOffset);
  await prepareInstallation(orm, keys, (em) => joinByCommand(em, keys), now());
  if (action === 'rotate') await rotate(orm, keys, id === '--force', now());
  else if (action === 'revoke') {
    const found = id && (await revoke(orm, keys, id, now()));
    if (!found)
      throw new Error(
        `${id ? `there is no key ${id}; ` : ''}name the key to revoke: gatehouse keys revoke KEY-ID (see gatehouse keys list)`,
      );
  }
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
