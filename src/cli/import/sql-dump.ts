import { counted } from '../../text/counted.ts';
import type { Line } from '../lines.ts';
import { SqlLexer, type Token, UnreadableDump } from './sql-lexer.ts';

/** Values by the names of their columns: texts of PostgreSQL, or what its JSON has. */
export type Values = Readonly<Record<string, unknown>>;

/** A row of a table, and the line or position where it begins. */
export interface TableRow {
  readonly table: string;
  readonly line: number;
  readonly values: Values;
}

/** A row that cannot be read, and why. */
export interface BadRow {
  readonly table: string;
  readonly line: number;
  readonly why: string;
}

/** The key of a table by its schema, if the dump names one, and its name. Undefined for tables that are not read. */
export type Wanted = (schema: string | undefined, name: string) => string | undefined;

/** Where rows of a table follow. Without a table they are skipped. */
interface Target {
  readonly table: string | undefined;
  readonly columns: readonly string[];
}

const mostRowCharacters = 1_048_576;
const mostHeadTokens = 2000;
const tooLong = 'longer than 1 MiB';
const cure = 'dump again without --inserts, or with --column-inserts';

/**
 * Reads the rows of tables in a plain dump of pg_dump: of COPY, and of INSERT with the names of the columns. Throws an
 * UnreadableDump when it cannot know where the next statement begins.
 */
export class SqlDump {
  readonly #wanted: Wanted;
  readonly #lexer = new SqlLexer();
  #line = 0;
  #copy: Target | undefined;
  #insert: InsertRows | undefined;
  #head: Token[] = [];
  /** Until the next semicolon. */
  #isSkipping = false;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  *take(line: Line): Generator<TableRow | BadRow> {
    this.#line++;
    if (this.#copy) return yield* this.#takeCopied(line, this.#copy);
    if ('why' in line) throw new UnreadableDump(`line ${this.#line} is ${line.why}`);
    // psql's own commands, such as \restrict.
    if (this.#isBetween && line.text.startsWith('\\')) return;
    try {
      for (const token of this.#lexer.tokens(line.text)) yield* this.#takeToken(token);
    } catch (error) {
      if (error instanceof UnreadableDump) throw new UnreadableDump(`line ${this.#line}: ${error.message}`);
      throw error;
    }
  }

  /** Throws unless the dump is whole. */
  end(): void {
    if (this.#copy || !this.#isBetween) throw new UnreadableDump('it ends within a statement');
  }

  get #isBetween(): boolean {
    return !this.#lexer.isInside && this.#head.length === 0 && !this.#isSkipping && !this.#insert;
  }

  // A row of COPY is one line, whatever it contains.
  *#takeCopied(line: Line, { table, columns }: Target): Generator<TableRow | BadRow> {
    if ('text' in line && /^\\\.\r?$/.test(line.text)) this.#copy = undefined;
    else if (table !== undefined) yield rowOf(table, this.#line, columns, line);
  }

  *#takeToken(token: Token): Generator<TableRow | BadRow> {
    const isEnd = token.kind === 'sign' && token.text === ';';
    if (this.#isSkipping) {
      this.#isSkipping = !isEnd;
    } else if (this.#insert) {
      const taken = this.#insert.take(token, this.#line);
      if (taken === 'end' || taken === 'skip') this.#insert = undefined;
      if (taken === 'skip') this.#isSkipping = !isEnd;
      if (typeof taken === 'object') yield taken;
    } else if (isEnd) {
      this.#copy = targetOfCopy(this.#head, this.#wanted);
      this.#head = [];
    } else {
      this.#head.push(token);
      this.#readHead();
    }
  }

  #readHead(): void {
    const head = this.#head;
    const { kind, text } = head.at(-1)!;
    const command = head[0]!.kind === 'word' ? head[0]!.text : '';
    if (command === 'insert' && kind === 'word' && text === 'values') {
      const target = targetOf(head.slice(2), this.#wanted);
      this.#head = [];
      if (target) this.#insert = new InsertRows(target);
      else this.#isSkipping = true;
    } else if ((command !== 'insert' && command !== 'copy') || head.length > mostHeadTokens) {
      this.#head = [];
      this.#isSkipping = true;
    }
  }
}

/** The rows that follow VALUES. */
class InsertRows {
  readonly #target: Target;
  #row: Token[][] | undefined;
  #line = 0;
  #depth = 0;
  #length = 0;

  constructor(target: Target) {
    this.#target = target;
  }

  take(token: Token, line: number): TableRow | BadRow | 'end' | 'skip' | undefined {
    const sign = token.kind === 'sign' ? token.text : '';
    if (!this.#row) return this.#begin(sign, line);
    if (sign === '(') this.#depth++;
    if (sign === ')') this.#depth--;
    if (this.#depth === 0) return this.#end();
    if (sign === ',' && this.#depth === 1) this.#row.push([]);
    else this.#keep(token);
    return undefined;
  }

  #begin(sign: string, line: number): 'end' | 'skip' | undefined {
    if (sign === ';') return 'end';
    if (sign === ',') return undefined;
    // ON CONFLICT DO NOTHING
    if (sign !== '(') return 'skip';
    this.#row = [[]];
    this.#line = line;
    this.#depth = 1;
    this.#length = 0;
    return undefined;
  }

  #keep(token: Token): void {
    this.#length += token.text.length;
    if (this.#length <= mostRowCharacters) this.#row!.at(-1)!.push(token);
  }

  #end(): TableRow | BadRow {
    const [row, { table = '', columns }] = [this.#row!, this.#target];
    this.#row = undefined;
    const about = { table, line: this.#line };
    if (this.#length > mostRowCharacters) return { ...about, why: tooLong };
    if (row.length !== columns.length) return { ...about, why: miscounted(row.length, columns.length) };
    const values = row.map(literalOf);
    const odd = columns.find((_, index) => values[index] === undefined);
    if (odd !== undefined) return { ...about, why: `${odd}: not a literal` };
    return { ...about, values: Object.fromEntries(columns.map((column, index) => [column, values[index]])) };
  }
}

function literalOf(tokens: readonly Token[]): string | null | undefined {
  const cast = tokens.findIndex(({ kind, text }) => kind === 'sign' && text === ':');
  const [first, second, ...more] = cast < 0 ? tokens : tokens.slice(0, cast);
  if (!first || more.length > 0) return undefined;
  if (first.text === '-' && second?.kind === 'number') return `-${second.text}`;
  if (second) return undefined;
  if (first.kind === 'string' || first.kind === 'number') return first.text;
  if (first.kind !== 'word') return undefined;
  return first.text === 'null' ? null : /^(true|false)$/.test(first.text) ? first.text : undefined;
}

function targetOfCopy(head: readonly Token[], wanted: Wanted): Target | undefined {
  if (head[0]?.kind !== 'word' || head[0].text !== 'copy') return undefined;
  const from = head.findIndex(({ kind, text }) => kind === 'word' && text === 'from');
  if (from < 0 || head[from + 1]?.text !== 'stdin') return undefined;
  const target = targetOf(head.slice(1, from), wanted) ?? { table: undefined, columns: [] };
  if (target.table !== undefined && head.length > from + 2)
    throw new UnreadableDump(`COPY of ${target.table} in a form of its own: ${cure}`);
  return target;
}

/** Reads a table's name and its columns. Undefined for a table that is not read. */
function targetOf(tokens: readonly Token[], wanted: Wanted): Target | undefined {
  const isDotted = tokens[1]?.text === '.';
  const [schema, name] = isDotted ? [tokens[0]?.text, tokens[2]?.text] : [undefined, tokens[0]?.text];
  const table = name === undefined ? undefined : wanted(schema, name);
  if (table === undefined) return undefined;
  const list = tokens.slice(isDotted ? 3 : 1);
  const end = list.findIndex(({ text }) => text === ')');
  if (list[0]?.text !== '(' || end < 0)
    throw new UnreadableDump(`rows of ${table} without the names of their columns: ${cure}`);
  const columns = list.slice(1, end).filter(({ kind }) => kind !== 'sign');
  return { table, columns: columns.map(({ text }) => text) };
}

function rowOf(table: string, line: number, columns: readonly string[], read: Line): TableRow | BadRow {
  if ('why' in read) return { table, line, why: read.why };
  if (read.text.length > mostRowCharacters) return { table, line, why: tooLong };
  const fields = read.text.replace(/\r$/, '').split('\t');
  if (fields.length !== columns.length) return { table, line, why: miscounted(fields.length, columns.length) };
  const values = columns.map((column, index) => [column, fieldOf(fields[index]!)]);
  return { table, line, values: Object.fromEntries(values) };
}

function miscounted(values: number, columns: number): string {
  return `${counted(values, 'value')} for ${counted(columns, 'column')}`;
}

const escaped: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** A value of COPY in its text format. */
function fieldOf(text: string): string | null {
  if (text === '\\N') return null;
  return text.includes('\\') ? text.replace(/\\(.)/gs, (_, each: string) => escaped[each] ?? each) : text;
}
