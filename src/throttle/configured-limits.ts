import type { FailureLimits } from './failed-attempts.ts';

/** A method's calls per minute, or none. `off` lifts a limit that the contract sets. */
export type LimitSetting = number | 'off';

/**
 * The limits in force: the contract's numbers, overridden by LIMITS. Keys are `Service.Method`, with `:session` for the
 * budget of one session, and with the names below for failed calls; `*` stands for all that are not named.
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

  /** How many calls may fail. */
  failuresOf(key: string, byContract: Readonly<Record<keyof FailureLimits, number>>): FailureLimits {
    return {
      perAccount: this.limitOf(`${key}:account`, byContract.perAccount),
      consecutive: this.limitOf(`${key}:consecutive`, byContract.consecutive),
      perNetwork: this.limitOf(`${key}:network`, byContract.perNetwork),
      perProject: this.limitOf(`${key}:project`, byContract.perProject),
    };
  }

  /** What LIMITS calls the numbers above. */
  static failureKeys(key: string): string[] {
    return ['account', 'consecutive', 'network', 'project'].map((name) => `${key}:${name}`);
  }

  /** Names in LIMITS that no method bears. */
  unknownKeys(known: ReadonlySet<string>): string[] {
    return Object.keys(this.#settings).filter((key) => key !== '*' && !known.has(key.replace(/:session$/, '')));
  }
}
