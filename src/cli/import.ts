import { once } from 'node:events';
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { MikroORM } from '@mikro-orm/postgresql';
import { importUsers, readImportLine } from '../admin/import.ts';
import type { Config } from '../config.ts';
import { type Clock, openClock } from '../database/clock.ts';
import { defaultProjectId } from '../project/project.ts';
import { User } from '../user/user.ts';
import { commandLine } from './caller.ts';
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
  // The reader of lines would not tell of a file that cannot be opened.
  await Promise.race([once(input, 'readable'), once(input, 'end')]);
  for await (const json of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    await run.take(json);
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
  #waiting: User[] = [];
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

  async take(json: string): Promise<void> {
    this.#lines++;
    if (json.trim() === '') return;
    const user =
      json.length > longest ? { why: 'longer than 64 KiB' } : readImportLine(json, defaultProjectId, this.#deps.now());
    if (user instanceof User) this.#waiting.push(user);
    else this.#refuse(user.why);
    if (this.#waiting.length >= batch) await this.#send();
  }

  async finish(): Promise<void> {
    await this.#send();
    await new Promise<void>((resolve) => (this.#report ? this.#report.end(resolve) : resolve()));
  }

  async #send(): Promise<void> {
    const users = this.#waiting;
    this.#waiting = [];
    if (users.length === 0) return;
    const { orm, now, plan } = this.#deps;
    const created = await importUsers(orm, users, { context: commandLine('import'), plan }, now());
    this.#created += created;
    this.#passedOver += users.length - created;
  }

  #refuse(reason: string): void {
    this.refused++;
    // A report holds addresses of nobody, but whoever can read the import may be the only one who should read it.
    this.#report ??= createWriteStream(this.#reportPath, { mode: 0o600 });
    this.#report.write(`${JSON.stringify({ line: this.#lines, reason })}\n`);
  }
}
