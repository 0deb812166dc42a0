const printedByKysely = /^`[\w.]+` failed in the background after abortion: /;

let filter: typeof console.error | undefined;

/**
 * Keeps Kysely from printing failures of queries whose caller has left: usually that of the statement which was cancelled
 * for this reason. The caller has its response, and Kysely writes these lines to the console past our log.
 */
export function silenceAbandonedQueries(): void {
  if (console.error === filter) return;
  const print = console.error;
  filter = (...line: unknown[]) => {
    if (!printedByKysely.test(`${line[0]}`)) print.apply(console, line);
  };
  console.error = filter;
}
