/** The output of a command. */
export interface Terminal {
  /** A line of the result. */
  readonly print: (line: string) => void;
  /** The progress so far. On a terminal the next one replaces it; otherwise it is written now and then. */
  readonly progress: (line: string) => void;
}

let progressAt = Number.NEGATIVE_INFINITY;

/** The standard output and, for progress, the standard error. */
export const terminal: Terminal = {
  print: (line) => void process.stdout.write(`${line}\n`),
  progress(line) {
    // On a terminal the line is overwritten; in a log a line is written every five seconds.
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
    else if (performance.now() - progressAt > 5000) {
      process.stderr.write(`${line}\n`);
      progressAt = performance.now();
    }
  },
};
