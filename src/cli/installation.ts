import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import type { Config } from '../config/config.ts';
import { Autocommit } from '../database/autocommit.ts';
import { openClock } from '../database/clock.ts';
import { lockWork } from '../database/lease.ts';
import { statement } from '../database/statement.ts';
import { lockInstallation, transact } from '../database/transaction.ts';
import { type Installation, type KeySetting, keySettings, readInstallation } from '../project/installation.ts';
import { retireSealedUnder } from '../session/key-ring.ts';
import { counted } from '../text/counted.ts';
import { shellCommand } from '../text/program.ts';
import { keyIdPattern } from '../user/password-hash.ts';
import { commandLine } from './caller.ts';
import type { Invocation } from './parse.ts';
import { recoverFromRestore } from './restored.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/**
 * `installation list`, `installation drop SETTING [ID]` and `installation restored`: what every replica of the database must
 * have in common. `drop` lets replicas start without a key that is lost or no longer used, or with another PUBLIC_URL. It
 * works while no replica can start. `restored` is for a database that was replaced by an older state of itself.
 */
export async function manageInstallation(
  orm: MikroORM,
  config: Config,
  { command, args: [setting = '', id = ''] }: Invocation,
  terminal: Terminal,
): Promise<void> {
  if (command === 'installation restored') await recoverFromRestore(orm, config, terminal);
  if (command === 'installation drop') {
    const { now } = await openClock(orm, config.clockOffset);
    await drop(orm, { config, setting, id }, now());
  }
  const installation = await readInstallation(orm.em.fork());
  for (const each of keySettings)
    for (const known of Object.keys(installation.checksOf(each)))
      terminal.print(`${each}  ${known}${await stateOf(orm, installation, each, known)}`);
  terminal.print(`PUBLIC_URL  ${installation.issuer ?? '(not recorded)'}`);
}

const countWith = statement<{ users: number }, { pattern: string }>(
  'users_with_pepper',
  'select count(*)::int as users from users u where u.password_hash like :pattern and u.deleted_at is null',
);

async function stateOf(orm: MikroORM, installation: Installation, setting: KeySetting, id: string): Promise<string> {
  const dropped = installation.isDropped(setting, id) ? '  dropped' : '';
  if (setting === 'MASTER_KEYS') return dropped;
  const [row] = await countWith(new Autocommit(orm), { pattern: keyIdPattern(id) });
  return `${dropped}  password hashes of ${counted(row!.users, 'user')}`;
}

interface Drop {
  readonly config: Config;
  readonly setting: string;
  readonly id: string;
}

/** Throws what is wrong with the arguments of `installation drop`, before anything needs the database. */
export function checkDrop([setting = '', id]: readonly string[]): void {
  const isKey = keySettings.some((each) => each === setting);
  if (isKey ? id : setting === 'PUBLIC_URL' && id === undefined) return;
  const ways = [...keySettings.map((each) => `${each} ID`), 'PUBLIC_URL'].map((way) => `installation drop ${way}`);
  throw new UsageError(`name what to drop: ${ways.map(shellCommand).join(', ')}`);
}

function drop(orm: MikroORM, { config, setting, id }: Drop, now: Date): Promise<void> {
  const keySetting = keySettings.find((each) => each === setting);
  return transact(orm, async (em) => {
    await lockInstallation(em);
    await lockWork(em, 'signing keys');
    const installation = await readInstallation(em);
    if (keySetting) await dropKey(em, installation, { config, setting: keySetting, id }, now);
    else installation.issuer = null;
    const entityId = [setting, id].filter(Boolean).join(' ');
    audit(em, commandLine('installation drop') as HandlerContext, { action: 'installation.drop', entityId }, now);
  });
}

async function dropKey(
  em: EntityManager,
  installation: Installation,
  { config, setting, id }: Drop & { readonly setting: KeySetting },
  now: Date,
): Promise<void> {
  const configured = setting === 'MASTER_KEYS' ? config.masterKeys : config.passwords.peppers;
  if (configured.some((key) => key.id === id))
    throw new Error(`${setting} still has the key '${id}'; remove it from the setting of every replica first`);
  if (!installation.dropKey(setting, id)) {
    const known = Object.keys(installation.checksOf(setting)).join(', ') || 'none';
    throw new Error(`this database knows no key '${id}' of ${setting}; it knows: ${known}`);
  }
  if (setting === 'MASTER_KEYS') await retireSealedUnder(em, id, now);
}
