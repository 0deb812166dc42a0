import { openSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { MikroORM } from '@mikro-orm/postgresql';
import { importUsers, readImportLine } from '../admin/import.ts';
import { EarlierLines, type ImportedUser } from '../admin/import-duplicates.ts';
import type { Config } from '../config/config.ts';
import { type Clock, openClock } from '../database/clock.ts';
import { defaultProjectId } from '../project/project.ts';
import { counted } from '../text/counted.ts';
import { bytesOfMetadata, mostMetadataBytes } from '../user/metadata.ts';
import type { User } from '../user/user.ts';
import { commandLine } from './caller.ts';
import { type Line, readLines } from './lines.ts';
import type { Terminal } from './terminal.ts';

const batch = 500;
const longest = 65_536;

/** The lines to import, and the path of the report about them. */
export interface ImportInput {
  readonly bytes: AsyncIterable<Buffer>;
  readonly report: string;
}

const reportOfStream = 'import.refused.jsonl';

/** Opens the argument of `import`. Throws what is wrong with it, before anything needs the database. */
export async function openImport(file: string): Promise<ImportInput> {
  if (file === '-') return { bytes: process.stdin, report: reportOfStream };
  return openFile(file).catch((error: Error) => {
    throw new Error(`${file} cannot be imported: ${error.message}`);
  });
}

async function openFile(file: string): Promise<ImportInput> {
  const opened = await open(file);
  const stats = await opened.stat();
  if (stats.isDirectory()) {
    await opened.close();
    throw new Error('it is a directory');
  }
  // Nothing can be written beside a pipe, such as the one that the shell makes of <(command).
  return { bytes: opened.createReadStream(), report: stats.isFile() ? `${file}.refused.jsonl` : reportOfStream };
}

/**
 * `import FILE|-`: creates a user from each line. Users who exist already are skipped, so an interrupted import
 * can be run again. The numbers of refused lines and their reasons are written to a file beside the import; then this
 * throws, and the process exits with 1.
 */
export async function importFile(orm: MikroORM, config: Config, { bytes, report }: ImportInput, terminal: Terminal) {
  const { now } = await openClock(orm, config.clockOffset);
  const run = new ImportRun({ orm, now, plan: config.accounts.trialPlan }, report);
  for await (const line of readLines(bytes, longest)) {
    await run.take(line);
    terminal.progress(run.summary);
  }
  await run.send();
  terminal.print(run.summary);
  if (run.refused > 0)
    throw new Error(
      `${counted(run.refused, 'line was', 'lines were')} refused; ${report} has ${run.refused === 1 ? 'its number and reason' : 'their numbers and reasons'}`,
    );
}

interface Deps {
  readonly orm: MikroORM;
  readonly now: Clock;
  /** The plan stored for the accounts of the new users, without a subscription. */
  readonly plan: string;
}

class ImportRun {
  refused = 0;
  readonly #deps: Deps;
  readonly #reportPath: string;
  #report: number | undefined;
  /** Users to be created with the next batch, and the numbers of their lines. */
  #waiting: ImportedUser[] = [];
  #lineOf = new Map<User, number>();
  readonly #earlier = new EarlierLines();
  #lines = 0;
  #created = 0;
  #existing = 0;
  #tooLarge = 0;

  constructor(deps: Deps, reportPath: string) {
    this.#deps = deps;
    this.#reportPath = reportPath;
  }

  get summary(): string {
    const counts = `${counted(this.#created, 'user')} created, ${this.#existing} already existed, ${this.refused} refused`;
    const tooLarge = this.#tooLarge > 0 ? `, ${this.#tooLarge} with metadata too large for access tokens` : '';
    return `${counted(this.#lines, 'line')}: ${counts}${tooLarge}`;
  }

  async take(line: Line): Promise<void> {
    this.#lines++;
    if ('why' in line) return this.#refuse(this.#lines, line.why);
    if (line.text.trim() === '') return;
    const read = readImportLine(line.text, defaultProjectId, this.#deps.now());
    if ('why' in read) return this.#refuse(this.#lines, read.why);
    const earlier = this.#earlier.add(read, line.text);
    if (earlier === 'repeated') this.#existing++;
    else if (earlier) this.#refuse(this.#lines, earlier.why);
    else this.#accept(read);
    if (this.#waiting.length >= batch) await this.send();
  }

  /** Creates the users who wait. */
  async send(): Promise<void> {
    const [waiting, lineOf] = [this.#waiting, this.#lineOf];
    [this.#waiting, this.#lineOf] = [[], new Map()];
    if (waiting.length === 0) return;
    const { orm, now, plan } = this.#deps;
    const options = { context: commandLine('import'), plan };
    const { created, refused } = await importUsers(orm, waiting, options, now());
    for (const { user, why } of refused) this.#refuse(lineOf.get(user)!, why);
    this.#created += created;
    this.#existing += waiting.length - created - refused.length;
  }

  #accept(read: ImportedUser): void {
    this.#waiting.push(read);
    this.#lineOf.set(read.user, this.#lines);
    const bytes = bytesOfMetadata(read.user);
    if (bytes <= mostMetadataBytes) return;
    this.#tooLarge++;
    const note = `metadata of ${counted(bytes, 'byte')}: kept, but access tokens leave it out above ${mostMetadataBytes}`;
    this.#write({ line: this.#lines, note });
  }

  #refuse(line: number, reason: string): void {
    this.refused++;
    this.#write({ line, reason });
  }

  #write(entry: { line: number } & Record<string, string | number>): void {
    // The report contains no addresses. Still, only the owner may read it, as with the import itself.
    this.#report ??= openSync(this.#reportPath, 'w', 0o600);
    writeSync(this.#report, `${JSON.stringify(entry)}\n`);
  }
}
