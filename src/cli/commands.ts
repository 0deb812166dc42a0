import type { MikroORM } from '@mikro-orm/postgresql';
import type { Config, LoadedConfig } from '../config/config.ts';
import { openDatabase } from './database.ts';
import type { Invocation } from './parse.ts';
import { explainStartFault } from './start-fault.ts';
import { terminal } from './terminal.ts';

/** Runs the command, and imports only what it needs. Throws an error whose message is a sentence for people. */
export async function run(invocation: Invocation, loaded: LoadedConfig): Promise<void> {
  const { command, options } = invocation;
  const { config } = loaded;
  const [group] = command.split(' ');
  if (group === 'serve') return (await import('./serve.ts')).serveUntilStopped(loaded);
  if (group === 'migrate') return migrateDatabase(config, options.has('create'));
  if (group === 'keys') {
    const { manageKeys } = await import('./keys.ts');
    return withDatabase(config, (orm) => manageKeys(orm, config, invocation, terminal));
  }
  if (group === 'admin') {
    const { manageOperators } = await import('./operators.ts');
    return withDatabase(config, (orm) => manageOperators(orm, config, invocation, terminal));
  }
  if (group === 'projects') {
    const { manageProjects } = await import('./projects.ts');
    return withDatabase(config, (orm) => manageProjects(orm, config, invocation, terminal));
  }
  return runPatiently(invocation, config);
}

/** The commands whose work may take long. */
async function runPatiently(invocation: Invocation, config: Config): Promise<void> {
  const { command, args, options } = invocation;
  const [group] = command.split(' ');
  if (group === 'audit') {
    const { readHeads, verifyAudit } = await import('./audit.ts');
    const heads = readHeads(options.get('head'));
    return withPatience(config, (orm, patient) => verifyAudit(orm, patient, heads, terminal));
  }
  if (group === 'import') {
    const { importFrom, readOrder } = await import('./import/import-command.ts');
    const order = await readOrder(invocation);
    return withPatience(config, (orm, patient) => importFrom(orm, patient, order, terminal));
  }
  const { checkDrop, manageInstallation } = await import('./installation.ts');
  if (command === 'installation drop') checkDrop(args);
  return withPatience(config, (orm, patient) => manageInstallation(orm, patient, invocation, terminal));
}

async function migrateDatabase(config: Config, isCreated: boolean): Promise<void> {
  const { url } = config.database;
  const { createDatabase } = await import('../database/create-database.ts');
  const name = isCreated && url && (await createDatabase(url).catch(explained));
  if (name) terminal.print(`the database ${name} was created`);
  return withDatabase(config, async () => terminal.print('the database is up to date'), terminal.print);
}

function explained(error: unknown): never {
  throw explainStartFault(error) ?? error;
}

/** Runs work that may take long, without the timeouts of calls. */
function withPatience(config: Config, work: (orm: MikroORM, config: Config) => Promise<void>): Promise<void> {
  const patient = { ...config, database: { ...config.database, statementTimeout: 0 } };
  return withDatabase(patient, (orm) => work(orm, patient));
}

async function withDatabase(
  config: Config,
  work: (orm: MikroORM) => Promise<void>,
  report: (line: string) => void = () => {},
): Promise<void> {
  const database = await openDatabase(config, () => {}, report);
  try {
    await work(database.orm);
    await database.orm.close(true);
  } finally {
    await database.close();
  }
}
