import type { MikroORM } from '@mikro-orm/postgresql';
import { oldestKept } from '../audit/partitions.ts';
import { verifyTrail } from '../audit/verify.ts';
import type { Config } from '../config/config.ts';
import { MasterKeys } from '../crypto/master-keys.ts';
import { openClock } from '../database/clock.ts';
import type { Terminal } from './terminal.ts';

/** `gatehouse audit verify`: verifies the chain of every project. Throws with the first invalid event or seal. */
export async function manageAudit(orm: MikroORM, config: Config, args: readonly string[], terminal: Terminal) {
  if (args[0] !== 'verify' || args.length > 1)
    throw new Error(`there is no 'audit ${args.join(' ')}'; there is audit verify`);
  const { now } = await openClock(orm, config.clockOffset);
  const chains = await verifyTrail(orm, {
    keys: new MasterKeys(config.masterKeys),
    oldestKept: oldestKept(config.auditRetention, now()),
    progress: ({ project, events, sequence }) =>
      terminal.progress(`${project}: ${events} events in ${sequence} seals are valid`),
  });
  for (const { project, fault, events, sequence, unsealed, hash } of chains)
    if (!fault)
      terminal.print(
        `${project}  good  ${events} events in ${sequence} seals, ${unsealed} unsealed  head ${sequence}:${hash}`,
      );
  const bad = chains.filter(({ fault }) => fault);
  if (bad.length > 0) throw new Error(bad.map(({ project, fault }) => `${project}: ${fault}`).join('\n'));
}
