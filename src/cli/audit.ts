import type { MikroORM } from '@mikro-orm/postgresql';
import { type Head, verifyTrail } from '../audit/verify.ts';
import type { Config } from '../config/config.ts';
import { MasterKeys } from '../crypto/master-keys.ts';
import { counted } from '../text/counted.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/**
 * `audit verify [--head HEAD]...`: verifies the chain of every project, and that it still contains the kept heads. Throws
 * with the first invalid event or seal.
 */
export async function verifyAudit(orm: MikroORM, config: Config, heads: Heads, terminal: Terminal) {
  const chains = await verifyTrail(orm, {
    keys: new MasterKeys(config.masterKeys),
    heads,
    progress: ({ project, events, sequence }, all) =>
      terminal.progress(`${project}: ${counted(events, 'event')} of ${all} checked, up to seal ${sequence}`),
  });
  for (const { project, fault, events, total, unsealed, sequence, hash } of chains)
    if (!fault) {
      const dropped = total > events ? `, ${total - events} dropped` : '';
      terminal.print(
        `${project}  good  ${counted(events, 'event')} in ${counted(sequence, 'seal')}${dropped}, ${unsealed} unsealed  head ${sequence}:${hash}`,
      );
    }
  const bad = chains.filter(({ fault }) => fault);
  if (bad.length > 0) throw new Error(bad.map(({ project, fault }) => `${project}: ${fault}`).join('\n'));
}

type Heads = ReadonlyMap<string, Head>;

/**
 * The kept heads by project. Without a project a head is the one of the default project. Throws what is wrong with one,
 * before anything needs the database.
 */
export function readHeads(values: readonly string[] = []): Heads {
  const heads = new Map<string, Head>();
  for (const value of values) {
    const parts = /^(?:([^=]+)=)?(\d{1,10}):([0-9a-f]{64})$/i.exec(value);
    if (!parts) throw new UsageError(`'${value}' is not a head: copy SEQUENCE:HASH from the output of audit verify`);
    const [, project = 'default', sequence, hash] = parts;
    heads.set(project, { sequence: Number(sequence), hash: hash!.toLowerCase() });
  }
  return heads;
}
