import type { MikroORM } from '@mikro-orm/postgresql';
import type { Config } from '../../config/config.ts';
import { MasterKeys } from '../../crypto/master-keys.ts';
import { openClock } from '../../database/clock.ts';
import { joinByCommand } from '../../project/installation.ts';
import { prepareInstallation } from '../../session/key-ring.ts';
import { counted } from '../../text/counted.ts';
import { readLines } from '../lines.ts';
import { findNearest, suggest } from '../nearest.ts';
import type { Invocation } from '../parse.ts';
import type { Terminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { converted, SourceFault, systems, tableSystems } from './converted.ts';
import { type ImportInput, openInput } from './input.ts';
import { Report } from './report.ts';
import { ImportRun, type RunDeps } from './run.ts';

const longest = 65_536;
const reportOfDatabase = 'import.refused.jsonl';

/** What `import` was called with. */
export interface ImportOrder {
  readonly from: string | undefined;
  /** The URL of the other system's database. */
  readonly url: string | undefined;
  readonly input: ImportInput | undefined;
  /** The file of --secrets. */
  readonly secrets: string | undefined;
  readonly isDryRun: boolean;
}

/** Reads arguments and options of `import`, and opens the file. Throws what is wrong, before the database is opened. */
export async function readOrder({ args, options }: Invocation): Promise<ImportOrder> {
  const file = args[0]!;
  const one = (name: string): string | undefined => {
    const values = options.get(name) ?? [];
    if (values.length > 1) throw new UsageError(`'--${name}' can be given once`);
    return values[0];
  };
  const from = one('from');
  if (from !== undefined && !systems.includes(from)) {
    const meant = findNearest(from, systems);
    throw new UsageError(`there is no system '${from}'${suggest(meant, `there are ${systems.join(', ')}`)}`);
  }
  const secrets = one('secrets');
  if (secrets && from !== 'better-auth' && from !== 'auth0')
    throw new UsageError("'--secrets' needs --from better-auth or --from auth0");
  const url = /^postgres(ql)?:\/\//.test(file) ? file : undefined;
  if (url && (!from || from === 'auth0'))
    throw new UsageError(`a database can be read with --from ${Object.keys(tableSystems).join(', --from ')}`);
  const input = url ? undefined : await openInput(file);
  return { from, url, input, secrets, isDryRun: options.has('dry-run') };
}

/**
 * `import FILE|-|URL`: creates a user from each line, or from each user of another system. Users who exist already are
 * skipped, so an interrupted import can be run again. What is refused or left out is written to a report; if something was
 * refused, this throws, and the process exits with 1.
 */
export async function importFrom(orm: MikroORM, config: Config, order: ImportOrder, terminal: Terminal): Promise<void> {
  const { now } = await openClock(orm, config.clockOffset);
  const keys = new MasterKeys(config.masterKeys);
  // Otherwise no replica could read the secrets that are sealed here.
  await prepareInstallation(orm, keys, (em) => joinByCommand(em, keys), now());
  const report = new Report(order.input?.report ?? reportOfDatabase);
  const { from, isDryRun } = order;
  const deps: RunDeps = { orm, now, keys, plan: config.accounts.trialPlan, isDryRun, isForeign: from !== undefined };
  const run = new ImportRun(deps, report);
  const noun = from ? 'user' : 'line';
  const broken = await consume(run, order, noun, terminal);
  await run.send();
  terminal.print(run.summary(noun));
  explain(run, report, config, terminal);
  if (from && run.created === 0) terminal.print('Nothing was changed');
  if (broken) throw new Error(`${nameOf(order)} cannot be read: ${broken.message}`);
  if (run.refused > 0)
    throw new Error(
      `${counted(run.refused, `${noun} was`, `${noun}s were`)} refused; ${report.path} has ${run.refused === 1 ? 'its number and reason' : 'their numbers and reasons'}`,
    );
}

function nameOf({ input }: ImportOrder): string {
  return input?.name ?? 'the database';
}

/** Gives the run what is imported. Returns why the source could not be read to its end. */
async function consume(
  run: ImportRun,
  order: ImportOrder,
  noun: string,
  terminal: Terminal,
): Promise<SourceFault | undefined> {
  try {
    if (order.from)
      for await (const each of converted(order.from, order)) {
        await run.takeConverted(each);
        terminal.progress(run.summary(noun));
      }
    else
      for await (const line of readLines(order.input!.bytes(), longest)) {
        await run.take(line);
        terminal.progress(run.summary(noun));
      }
    return undefined;
  } catch (error) {
    if (error instanceof SourceFault) return error;
    throw error;
  }
}

function explain(run: ImportRun, report: Report, config: Config, terminal: Terminal): void {
  const { isDryRun } = run;
  if (run.with.text) terminal.print(`${isDryRun ? 'Would be imported' : 'Imported'} with them: ${run.with.text}`);
  const unknown = run.with.textWithout(config.oauthProviders.map(({ name }) => name));
  if (unknown) terminal.print(`OAUTH_PROVIDERS does not have: ${unknown}; nobody can sign in with it until it does`);
  if (run.left.text)
    terminal.print(`Not imported: ${run.left.text}; ${report.path} has the lines and what can be done`);
}
