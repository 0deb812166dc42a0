/** The exit code of each outcome of a command. */
export const exitCodes = {
  failed: 1,
  usage: 2,
  not_signed_in: 3,
  denied: 4,
  expired: 5,
  canceled: 130,
} as const;

export type Outcome = keyof typeof exitCodes;

/** A command that did not succeed, with a sentence for the user. */
export class CliError extends Error {
  readonly outcome: Outcome;

  constructor(outcome: Outcome, message: string, options?: ErrorOptions) {
    super(message, options);
    this.outcome = outcome;
  }
}
