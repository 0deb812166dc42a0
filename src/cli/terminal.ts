/** The output of a command. */
export interface Terminal {
  /** A line of the result. */
  readonly print: (line: string) => void;
  /** The progress so far. On a terminal the next one replaces it; otherwise it is written now and then. */
  readonly progress: (line: string) => void;
}
