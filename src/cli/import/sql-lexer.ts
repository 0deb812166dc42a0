/** A token of SQL. Words are in lower case; a sign is one character. */
export interface Token {
  readonly kind: 'word' | 'name' | 'string' | 'number' | 'sign';
  readonly text: string;
}

/** Why a dump cannot be read any further. */
export class UnreadableDump extends Error {}

interface Open {
  readonly kind: 'string' | 'escaped' | 'name' | 'dollar' | 'comment';
  /** Of a dollar-quoted text. */
  readonly tag?: string;
  /** Comments nest. */
  depth: number;
  length: number;
  readonly parts: string[];
}

const longest = 16 * 1_048_576;
const space = /\s+|--[^\n]*/y;
const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const number = /\d[\w.]*(?:(?<=[eE])[+-]\d+)?/y;
const ends = {
  string: /'('?)/g,
  escaped: /\\(.)|'('?)/gs,
  name: /"("?)/g,
  comment: /\/\*|\*\//g,
};
const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/**
 * Splits SQL into tokens, line by line. What stands in strings, quoted names, comments and the bodies of functions is never
 * taken for a statement.
 *
 * Attack: users choose the texts in a dump. A reader that searched for lines that begin with INSERT would import the users
 * that somebody has written into their own metadata.
 */
export class SqlLexer {
  #open: Open | undefined;
  #text = '';
  #at = 0;

  /** Whether the next line begins inside a string, a name, a comment or the body of a function. */
  get isInside(): boolean {
    return this.#open !== undefined;
  }

  *tokens(line: string): Generator<Token> {
    this.#text = `${line}\n`;
    this.#at = 0;
    while (this.#at < this.#text.length) {
      const token = this.#open ? this.#close(this.#open) : this.#next();
      if (token) yield token;
    }
  }

  #next(): Token | undefined {
    if (this.#take(space) !== undefined) return undefined;
    const [first, second] = [this.#text[this.#at], this.#text[this.#at + 1]];
    if (first === "'") return this.#begin('string', 1);
    if (first === '"') return this.#begin('name', 1);
    if (first === '/' && second === '*') return this.#begin('comment', 2);
    const tag = this.#take(dollarTag);
    if (tag) return this.#begin('dollar', 0, tag);
    const digits = this.#take(number);
    if (digits) return { kind: 'number', text: digits };
    const name = this.#take(word);
    if (name && /^e$/i.test(name) && this.#text[this.#at] === "'") return this.#begin('escaped', 1);
    if (name) return { kind: 'word', text: name.toLowerCase() };
    this.#at++;
    return { kind: 'sign', text: first! };
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #begin(kind: Open['kind'], length: number, tag?: string): undefined {
    this.#at += length;
    this.#open = { kind, depth: 1, length: 0, parts: [], ...(tag && { tag }) };
  }

  /** Reads on in what is open. Returns it when it ends in this line. */
  #close(open: Open): Token | undefined {
    if (open.kind === 'dollar') return this.#closeDollar(open);
    if (open.kind === 'comment') return this.#closeComment(open);
    const pattern = ends[open.kind];
    for (;;) {
      pattern.lastIndex = this.#at;
      const found = pattern.exec(this.#text);
      this.#keep(open, this.#text.slice(this.#at, found?.index));
      this.#at = found ? pattern.lastIndex : this.#text.length;
      if (!found) return undefined;
      const [quote, first = '', second = ''] = found;
      if (quote[0] === '\\') this.#keep(open, decodeEscape(first));
      else if (first || second) this.#keep(open, first || second);
      else return this.#end(open);
    }
  }

  #closeDollar(open: Open): Token | undefined {
    const end = this.#text.indexOf(open.tag!, this.#at);
    this.#keep(open, this.#text.slice(this.#at, end < 0 ? undefined : end));
    this.#at = end < 0 ? this.#text.length : end + open.tag!.length;
    return end < 0 ? undefined : this.#end(open);
  }

  #closeComment(open: Open): undefined {
    ends.comment.lastIndex = this.#at;
    const found = ends.comment.exec(this.#text);
    this.#at = found ? ends.comment.lastIndex : this.#text.length;
    if (found) open.depth += found[0] === '/*' ? 1 : -1;
    if (open.depth === 0) this.#open = undefined;
  }

  #keep(open: Open, text: string): void {
    open.length += text.length;
    if (open.length > longest) throw new UnreadableDump('a text of more than 16 MiB');
    open.parts.push(text);
  }

  #end({ kind, parts }: Open): Token {
    this.#open = undefined;
    return { kind: kind === 'name' ? 'name' : 'string', text: parts.join('') };
  }
}

function decodeEscape(character: string): string {
  if (/[0-7xXuU]/.test(character)) throw new UnreadableDump('a string with numeric escapes');
  return escapes[character] ?? character;
}
