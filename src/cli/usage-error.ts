/** The command line is wrong. The process exits with 2, as shells and their tools do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
