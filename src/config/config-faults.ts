/** One invalid setting: what was found (only the length of a secret), what is allowed, and a valid example. */
export interface Fault {
  readonly variable: string;
  readonly found: string;
  readonly allowed: string;
  readonly example: string;
}

/** All faults of the configuration together. The message is for people and contains no secret. */
export class ConfigFaults extends Error {
  override name = 'ConfigFaults';
  readonly faults: readonly Fault[];

  /** The message contains the notices, because a misspelt name often explains a missing setting. */
  constructor(faults: readonly Fault[], notices: readonly string[] = []) {
    const count = faults.length === 1 ? '1 setting is wrong' : `${faults.length} settings are wrong`;
    super([`Gatehouse cannot start: ${count}.`, ...faults.map(formatFault), ...notices].join('\n\n'));
    this.faults = faults;
  }
}

function formatFault({ variable, found, allowed, example }: Fault): string {
  return `${variable}\n  found    ${found}\n  allowed  ${allowed}\n  example  ${example}`;
}
