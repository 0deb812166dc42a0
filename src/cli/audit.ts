import type { MikroORM } from '@mikro-orm/postgresql';
import { type Head, verifyTrail } from '../audit/verify.ts';
import type { Config } from '../config/config.ts';
import { MasterKeys } from '../crypto/master-keys.ts';
import type { Terminal } from './terminal.ts';

const usage = 'audit verify [--head [PROJECT=]SEQUENCE:HASH]...';

/**
 * `gatehouse audit verify [--head HEAD]...`: verifies the chain of every project, and that it still contains the kept heads.
 * Throws with the first invalid event or seal.
 */
export async function manageAudit(orm: MikroORM, config: Config, args: readonly string[], terminal: Terminal) {
  const [command, ...options] = args;
  if (command !== 'verify') throw new Error(`there is no 'audit ${args.join(' ')}'; there is ${usage}`);
  const chains = await verifyTrail(orm, {
    keys: new MasterKeys(config.masterKeys),
    heads: headsOf(options),
    progress: ({ project, events, sequence }, all) =>
      terminal.progress(`${project}: ${events} events of ${all} are valid, up to seal ${sequence}`),
  });
  for (const { project, fault, events, total, unsealed, sequence, hash } of chains)
    if (!fault) {
      const dropped = total > events ? `, ${total - events} dropped` : '';
      terminal.print(
        `${project}  good  ${events} events in ${sequence} seals${dropped}, ${unsealed} unsealed  head ${sequence}:${hash}`,
      );
    }
  const bad = chains.filter(({ fault }) => fault);
  if (bad.length > 0) throw new Error(bad.map(({ project, fault }) => `${project}: ${fault}`).join('\n'));
}

/** The kept heads by project. Without a project a head is the one of the default project. */
function headsOf(options: readonly string[]): ReadonlyMap<string, Head> {
  const heads = new Map<string, Head>();
  for (let rest = options; rest.length > 0; rest = rest.slice(2)) {
    const [option, value = ''] = rest;
    if (option !== '--head') throw new Error(`audit verify has no option '${option}'; there is ${usage}`);
    const parts = /^(?:([^=]+)=)?(\d{1,10}):([0-9a-f]{64})$/i.exec(value);
    if (!parts) throw new Error(`'${value}' is not a head: copy SEQUENCE:HASH from the output of audit verify`);
    const [, project = 'default', sequence, hash] = parts;
    heads.set(project, { sequence: Number(sequence), hash: hash!.toLowerCase() });
  }
  return heads;
}
