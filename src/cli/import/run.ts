import type { MikroORM } from '@mikro-orm/postgresql';
import { importUsers } from '../../admin/import.ts';
import { EarlierLines, type ImportedUser } from '../../admin/import-duplicates.ts';
import { readImportLine, readImportRecord } from '../../admin/import-line.ts';
import type { MasterKeys } from '../../crypto/master-keys.ts';
import type { Clock } from '../../database/clock.ts';
import { defaultProjectId } from '../../project/project.ts';
import { counted } from '../../text/counted.ts';
import { bytesOfMetadata, mostMetadataBytes } from '../../user/metadata.ts';
import type { User } from '../../user/user.ts';
import { commandLine } from '../caller.ts';
import type { Line } from '../lines.ts';
import { BelongingCounts, LeftCounts } from './counts.ts';
import { type LeftKind, leftKinds } from './left.ts';
import { adviceFor } from './refusal-advice.ts';
import type { Report } from './report.ts';
import type { Converted, Left, Unreadable } from './system.ts';

const batch = 500;
const batchCharacters = 8 * 1_048_576;

export interface RunDeps {
  readonly orm: MikroORM;
  readonly now: Clock;
  readonly keys: MasterKeys;
  /** The plan stored for the accounts of the new users, without a subscription. */
  readonly plan: string;
  readonly isDryRun: boolean;
  /** Whether the users are those of another system. */
  readonly isForeign: boolean;
}

/** Imports users in batches, and counts. */
export class ImportRun {
  refused = 0;
  readonly left = new LeftCounts();
  readonly with = new BelongingCounts();
  readonly #deps: RunDeps;
  readonly #report: Report;
  /** Users to be created with the next batch, and the numbers of their lines. */
  #waiting: ImportedUser[] = [];
  #lineOf = new Map<User, number>();
  #characters = 0;
  readonly #earlier = new EarlierLines();
  #lines = 0;
  #created = 0;
  #existing = 0;
  #tooLarge = 0;

  constructor(deps: RunDeps, report: Report) {
    this.#deps = deps;
    this.#report = report;
  }

  get isDryRun(): boolean {
    return this.#deps.isDryRun;
  }

  get created(): number {
    return this.#created;
  }

  summary(noun: string): string {
    const { isDryRun } = this.#deps;
    const created = `${counted(this.#created, 'user')} ${isDryRun ? 'would be created' : 'created'}`;
    const counts = `${created}, ${this.#existing} already existed, ${this.refused} refused`;
    const tooLarge = this.#tooLarge > 0 ? `, ${this.#tooLarge} with metadata too large for access tokens` : '';
    return `${isDryRun ? 'Dry run: ' : ''}${counted(this.#lines, noun)}: ${counts}${tooLarge}`;
  }

  /** Takes a line of this service's own format. */
  async take(line: Line): Promise<void> {
    this.#lines++;
    if ('why' in line) return this.#refuse(this.#lines, line.why);
    if (line.text.trim() === '') return;
    const read = readImportLine(line.text, this.#reading);
    if ('why' in read) return this.#refuse(this.#lines, read.why);
    await this.#add(read, line.text, this.#lines);
  }

  /** Takes a user of another system. */
  async takeConverted(converted: Converted | Unreadable): Promise<void> {
    const { line } = converted;
    if (!converted.isStray) this.#lines++;
    if ('why' in converted) return this.#refuse(line, converted.why);
    const { user, record, left } = converted;
    for (const each of left) this.#leave(line, user, each);
    if (!record) return;
    const read = readImportRecord(record, this.#reading);
    if ('why' in read) return this.#refuse(line, read.why);
    for (const why of read.removed) this.#leave(line, user, { kind: kindOf(why), why });
    // What nests too deeply for JSON.stringify has been removed.
    await this.#add(read.imported, JSON.stringify(record), line);
  }

  /** Creates the users who wait. */
  async send(): Promise<void> {
    const [waiting, lineOf] = [this.#waiting, this.#lineOf];
    [this.#waiting, this.#lineOf, this.#characters] = [[], new Map(), 0];
    if (waiting.length === 0) return;
    const { orm, now, plan, isDryRun } = this.#deps;
    const options = { context: commandLine('import'), plan, isDryRun };
    const { created, refused, unlinked, unregistered } = await importUsers(orm, waiting, options, now());
    for (const { user, why } of refused) this.#refuse(lineOf.get(user)!, why);
    const lineById = new Map([...lineOf].map(([{ id }, line]) => [id, line]));
    for (const { userId, provider } of unlinked)
      this.#leave(lineById.get(userId)!, userId, { kind: 'identity of another user', why: `of ${provider}` });
    for (const { userId } of unregistered)
      this.#leave(lineById.get(userId)!, userId, { kind: 'credential of another user' });
    for (const each of created) this.with.add(each);
    this.with.remove(unlinked);
    this.#created += created.length;
    this.#existing += waiting.length - created.length - refused.length;
  }

  get #reading() {
    const { keys, now } = this.#deps;
    return { projectId: defaultProjectId, keys, now: now() };
  }

  async #add(read: ImportedUser, text: string, line: number): Promise<void> {
    const earlier = this.#earlier.add(read, text);
    if (earlier === 'repeated') this.#existing++;
    else if (earlier) this.#refuse(line, earlier.why);
    else this.#accept(read, text.length, line);
    if (this.#waiting.length >= batch || this.#characters >= batchCharacters) await this.send();
  }

  #accept(read: ImportedUser, characters: number, line: number): void {
    this.#waiting.push(read);
    this.#lineOf.set(read.user, line);
    this.#characters += characters;
    const bytes = bytesOfMetadata(read.user);
    if (bytes <= mostMetadataBytes) return;
    this.#tooLarge++;
    const note = `metadata of ${counted(bytes, 'byte')}: kept, but access tokens leave it out above ${mostMetadataBytes}`;
    this.#report.write({ line, note });
  }

  #refuse(line: number, reason: string): void {
    this.refused++;
    this.#report.write({ line, reason, ...(this.#deps.isForeign && { advice: adviceFor(reason) }) });
  }

  #leave(line: number, user: string, { kind, why, ...own }: Left): void {
    this.left.add(kind);
    const about = { line: own.line ?? line, user, left: kind };
    this.#report.write({ ...about, ...(why && { why }), advice: leftKinds[kind].advice });
  }
}

const kindByField: Readonly<Record<string, LeftKind>> = {
  identities: 'identity',
  totp: 'TOTP secret',
  security_keys: 'security key',
  passkeys: 'passkey',
  recovery_codes: 'recovery code set',
  password_hash: 'password hash',
};

/** Of a part of a record that is invalid. Its reason begins with the name of the field. */
function kindOf(why: string): LeftKind {
  return kindByField[/^\w+/.exec(why)?.[0] ?? ''] ?? 'field';
}
