import type { z } from 'zod';

/** One environment variable. */
export interface Setting {
  /** What it does. */
  readonly sentence: string;
  /** Reads the text; its description says what is allowed. */
  readonly reads: z.ZodType<unknown, string>;
  /** As text, read like any other value. */
  readonly default?: string;
  /** The default in words, where there is none or it depends on something else. */
  readonly otherwise?: string;
  /** A value that would do; the shell may have to expand it. */
  readonly example: string;
  /** Never printed, and also read from the file that NAME_FILE names. */
  readonly secret?: true;
}

export type Settings = Readonly<Record<string, Setting>>;
