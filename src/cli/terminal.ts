/** What a command says to whom. */
export interface Terminal {
  /** A line of the result. */
  readonly print: (line: string) => void;
  /** How far it is; replaced by the next one where a person watches, else said now and then. */
  readonly progress: (line: string) => void;
}
