import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import type { MikroORM } from '@mikro-orm/postgresql';
import { importUsers, readImportLine } from '../admin/import.ts';
import type { Config } from '../config/config.ts';
import { type Clock, openClock } from '../database/clock.ts';
import { defaultProjectId } from '../project/project.ts';
import { User } from '../user/user.ts';
import { commandLine } from './caller.ts';
import { type Line, readLines } from './lines.ts';
import type { Terminal } from './terminal.ts';

const batch = 500;
const longest = 65_536;

/**
 * `gatehouse import FILE|-`: creates a user of each line. Users who are there already are passed over, so after a stop
 * the same file is imported again. Lines that cannot be taken are told in a file beside it, by number and reason; then it
 * throws, and the process ends with 1.
 */
export async function importFile(orm: MikroORM, config: Config, [file]: readonly string[], terminal: Terminal) {
  if (!file) throw new Error('say what to import: gatehouse import FILE, or - for what comes in');
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
  if (run.refused > 0) throw new Error(`${run.refused} lines were refused; ${report} says which, and why`);
}

interface Deps {
  readonly orm: MikroORM;
  readonly now: Clock;
  /** What the accounts of the new users are called to be on, without being subscribed to it. */
  readonly plan: string;
}

class ImportRun {
  refused = 0;
  readonly #deps: Deps;
  readonly #reportPath: string;
  #report: WriteStream | undefined;
  /** Read and not yet sent, with the numbers of their lines. */
  #waiting = new Map<User, number>();
  /** Those that the lines of this file name. */
  readonly #ids = new Set<string>();
  #lines = 0;
  #created = 0;
  #passedOver = 0;

  constructor(deps: Deps, reportPath: string) {
    this.#deps = deps;
    this.#reportPath = reportPath;
  }

  get summary(): string {
    return `${this.#lines} lines: ${this.#created} users created, ${this.#passedOver} there already, ${this.refused} refused`;
  }

  async take(line: Line): Promise<void> {
    this.#lines++;
    if ('text' in line && line.text.trim() === '') return;
    const read =
      'why' in line ? line : readImportLine(line.text, defaultProjectId, { ids: this.#ids, now: this.#deps.now() });
    if (read instanceof User) this.#waiting.set(read, this.#lines);
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
    this.#passedOver += waiting.size - created - refused.length;
  }

  #refuse(line: number, reason: string): void {
    this.refused++;
    // A report holds addresses of nobody, but whoever can read the import may be the only one who should read it.
    this.#report ??= createWriteStream(this.#reportPath, { mode: 0o600 });
    this.#report.write(`${JSON.stringify({ line, reason })}\n`);
  }
}
