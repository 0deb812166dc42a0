import type { z } from 'zod';

/** One environment variable. */
export interface Setting {
  /** What it does. */
  readonly sentence: string;
  /** Parses the text; its description says what is allowed. */
  readonly reads: z.ZodType<unknown, string>;
  /** As text, parsed like any other value. */
  readonly default?: string;
  /** The default in words, where it depends on other settings or there is no value. */
  readonly otherwise?: string;
  /** A valid value, which the shell may have to expand. */
  readonly example: string;
  /** A secret is never printed, and can be read from the file that NAME_FILE names. */
  readonly secret?: true;
}

export type Settings = Readonly<Record<string, Setting>>;
