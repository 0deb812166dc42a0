import type { LeftKind } from './left.ts';
import type { TableRow } from './sql-dump.ts';

/** A table of another system. */
export interface TableSpec {
  readonly key: string;
  /** Its names; the first one that exists is read. Without a schema: in any, or by the search path. */
  readonly names: readonly { readonly schema?: string; readonly name: string }[];
  /** What is read of it. A column may have two names. */
  readonly columns: readonly string[];
  /** The columns, one of which has the user's id. None: the rows are of no user. */
  readonly owner?: readonly string[];
}

/** Something of a user that is not imported. */
export interface Left {
  readonly kind: LeftKind;
  /** Of its row, if that is another than the user's. */
  readonly line?: number;
  readonly why?: string;
}

/** A user of another system. */
export interface Converted {
  readonly line: number;
  /** The id in the other system. */
  readonly user: string;
  /** The fields of a line. Undefined for users who are left out. */
  readonly record?: Record<string, unknown>;
  readonly left: readonly Left[];
  /** Rows without a user, whose id they name. */
  readonly isStray?: true;
}

/** A line of which nothing could be read, and why. */
export interface Unreadable {
  readonly line: number;
  readonly why: string;
  /** A row of something that belongs to a user. */
  readonly isStray?: true;
}

/** The rows of other tables. */
export interface Related {
  /** Those of the user. */
  readonly of: (key: string) => readonly TableRow[];
  /** Those of no user. */
  readonly all: (key: string) => readonly TableRow[];
}

export interface ConvertOptions {
  /** The secret that the other system encrypts with. */
  readonly secret?: string | undefined;
}

/** A system whose users are in tables. The table of the users has the key `users`. */
export interface TableSystem {
  readonly tables: readonly TableSpec[];
  readonly convert: (user: TableRow, related: Related, options: ConvertOptions) => Converted;
}
