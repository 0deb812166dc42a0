/** A method's calls per minute, or none. `off` lifts a limit that the contract sets. */
export type LimitSetting = number | 'off';

/**
 * The limits in force: the contract's numbers, overridden by LIMITS. Keys are `Service.Method`, with `:session` for the
 * budget of one session; `*` stands for all that are not named.
 */
export class Limits {
  readonly #settings: Readonly<Record<string, LimitSetting>>;

  constructor(settings: Readonly<Record<string, LimitSetting>>) {
    this.#settings = settings;
  }

  /** Calls per minute, or undefined for no limit. A method without a default has one only where it is named. */
  limitOf(key: string, byContract: number): number | undefined {
    const setting = this.#settings[key] ?? (byContract > 0 ? (this.#settings['*'] ?? byContract) : 'off');
    return setting === 'off' ? undefined : setting;
  }

  /** Names in LIMITS that no method bears. */
  unknownKeys(known: ReadonlySet<string>): string[] {
    return Object.keys(this.#settings).filter((key) => key !== '*' && !known.has(key.replace(/:session$/, '')));
  }
}
