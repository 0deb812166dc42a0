import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { HandlerContext } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import type { Config } from '../config/config.ts';
import { MasterKeys } from '../crypto/master-keys.ts';
import { openClock } from '../database/clock.ts';
import { transact } from '../database/transaction.ts';
import { joinByCommand } from '../project/installation.ts';
import { type ImportedKey, readImportedKey } from '../session/imported-key.ts';
import { importKey, listKeys, prepareInstallation, revokeKey, rotateKeys } from '../session/key-ring.ts';
import { shellCommand } from '../text/program.ts';
import { commandLine } from './caller.ts';
import type { Invocation } from './parse.ts';
import type { Terminal } from './terminal.ts';

/** `keys list`, `keys import FILE`, `keys rotate [--force]` and `keys revoke KEY-ID`: the keys that sign access tokens. */
export async function manageKeys(
  orm: MikroORM,
  config: Config,
  { command, args: [argument = ''], options }: Invocation,
  terminal: Terminal,
): Promise<void> {
  const imported = command === 'keys import' ? await readKeyFile(argument) : undefined;
  const keys = new MasterKeys(config.masterKeys);
  const { now } = await openClock(orm, config.clockOffset);
  await prepareInstallation(orm, keys, (em) => joinByCommand(em, keys), now());
  if (imported) await importOne(orm, keys, imported, now());
  else if (command === 'keys rotate') await rotate(orm, keys, options.has('force'), now());
  else if (command === 'keys revoke' && !(await revoke(orm, keys, argument, now())))
    throw new Error(`there is no key ${argument}; name the key to revoke: ${shellCommand('keys list')} shows them`);
  for (const each of await listKeys(orm.em.fork()))
    terminal.print(
      `${each.id}  ${each.state.padEnd(7)}  ${each.algorithm}  since ${each.stateChangedAt.toISOString()}`,
    );
}

async function readKeyFile(file: string): Promise<ImportedKey> {
  try {
    return readImportedKey(file === '-' ? await text(process.stdin) : await readFile(file, 'utf8'));
  } catch (thrown) {
    throw new Error(`${file} cannot be imported: ${(thrown as Error).message}`);
  }
}

function importOne(orm: MikroORM, keys: MasterKeys, imported: ImportedKey, now: Date): Promise<void> {
  return transact(orm, async (em) => {
    const { id } = await importKey(em, keys, imported, now);
    audit(em, commandLine('keys import') as HandlerContext, { action: 'key.import', entityId: id }, now);
  });
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
