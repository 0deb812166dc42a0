import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import type { MikroORM } from '@mikro-orm/postgresql';
import { importUsers, readImportLine } from '../admin/import.ts';
import type { Config } from '../config/config.ts';
import { type Clock, openClock } from '../database/clock.ts';
import { defaultProjectId } from '../project/project.ts';
import { bytesOfMetadata, mostMetadataBytes } from '../user/metadata.ts';
import { User } from '../user/user.ts';
import { commandLine } from './caller.ts';
import { type Line, readLines } from './lines.ts';
import type { Terminal } from './terminal.ts';

const batch = 500;
const longest = 65_536;

/**
 * `gatehouse import FILE|-`: creates a user from each line. Existing users are skipped, so an interrupted import can be run
 * again. The numbers of invalid lines and their reasons are written to a file beside the import; then this throws, and the
 * process exits with 1.
 */
export async function importFile(orm: MikroORM, config: Config, [file]: readonly string[], terminal: Terminal) {
  if (!file) throw new Error('name the file to import: gatehouse import FILE, or - for stdin');
  const { now } = await openClock(orm, config.clockOffset);
  const report = file === '-' ? 'import.refused.jsonl' : `${file}.refused.jsonl`;
  const run = new ImportRun({ orm, now, plan: config.accounts.trialPlan }, report);
  const input = file === '-' ? process.stdin : createReadStream(file);
  for await (const line of readLines(input, longest)) {
    await run.take(line);
    terminal.progress(run.summary);
  }
  await run.finish();
  terminal.print(run.summary);
  if (run.refused > 0) throw new Error(`${run.refused} lines were refused; ${report} has their numbers and reasons`);
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
  #report: WriteStream | undefined;
  /** Users to be created with the next batch, with the numbers of their lines. */
  #waiting = new Map<User, number>();
  /** The ids named by the lines so far. */
  readonly #ids = new Set<string>();
  #lines = 0;
  #created = 0;
  #existing = 0;
  #tooLarge = 0;

  constructor(deps: Deps, reportPath: string) {
    this.#deps = deps;
    this.#reportPath = reportPath;
  }

  get summary(): string {
    const counts = `${this.#created} users created, ${this.#existing} already existed, ${this.refused} refused`;
    const tooLarge = this.#tooLarge > 0 ? `, ${this.#tooLarge} with metadata too large for access tokens` : '';
    return `${this.#lines} lines: ${counts}${tooLarge}`;
  }

  async take(line: Line): Promise<void> {
    this.#lines++;
    if ('text' in line && line.text.trim() === '') return;
    const read =
      'why' in line ? line : readImportLine(line.text, defaultProjectId, { ids: this.#ids, now: this.#deps.now() });
    if (read instanceof User) this.#accept(read);
    else this.#refuse(this.#lines, read.why);
    if (this.#waiting.size >= batch) await this.#send();
  }

  async finish(): Promise<void> {
    await this.#send();
    await new Promise<void>((resolve) => (this.#report ? this.#report.end(resolve) : resolve()));
  }

  async #send(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    if (waiting.size === 0) return;
    const { orm, now, plan } = this.#deps;
    const options = { context: commandLine('import'), plan };
    const { created, refused } = await importUsers(orm, [...waiting.keys()], options, now());
    for (const { user, why } of refused) this.#refuse(waiting.get(user)!, why);
    this.#created += created;
    this.#existing += waiting.size - created - refused.length;
  }

  #accept(user: User): void {
    this.#waiting.set(user, this.#lines);
    const bytes = bytesOfMetadata(user);
    if (bytes <= mostMetadataBytes) return;
    this.#tooLarge++;
    const note = `metadata of ${bytes} bytes: kept, but access tokens leave it out above ${mostMetadataBytes}`;
    this.#write({ line: this.#lines, note });
  }

  #refuse(line: number, reason: string): void {
    this.refused++;
    this.#write({ line, reason });
  }

  #write(entry: { line: number } & Record<string, string | number>): void {
    // The report contains no addresses. Still, only the owner may read it, as with the import itself.
    this.#report ??= createWriteStream(this.#reportPath, { mode: 0o600 });
    this.#report.write(`${JSON.stringify(entry)}\n`);
  }
}
