/** One setting that is wrong: what was found (of a secret only its shape), what is allowed, and a line that would do. */
export interface Fault {
  readonly variable: string;
  readonly found: string;
  readonly allowed: string;
  readonly example: string;
}

/** Everything that is wrong with the settings, at once. The message is for people and holds no secret. */
export class ConfigFaults extends Error {
  override name = 'ConfigFaults';
  readonly faults: readonly Fault[];

  /** The notices come along, because a misspelt name often explains a missing setting. */
  constructor(faults: readonly Fault[], notices: readonly string[] = []) {
    const count = faults.length === 1 ? '1 setting is wrong' : `${faults.length} settings are wrong`;
    super([`Gatehouse cannot start: ${count}.`, ...faults.map(formatFault), ...notices].join('\n\n'));
    this.faults = faults;
  }
}

function formatFault({ variable, found, allowed, example }: Fault): string {
  return `${variable}\n  found    ${found}\n  allowed  ${allowed}\n  example  ${example}`;
}
