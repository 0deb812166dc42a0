import { type DescMethod, getOption } from '@bufbuild/protobuf';
import { type Policy, policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import { surfaceLimits } from './surface-limits.ts';

/** The key in LIMITS of the wrong secrets of OAuth clients. Their endpoints are no methods of the contract. */
export const clientSecretKey = 'OAuth.ClientSecret';

type Limits = Readonly<Record<string, LimitSetting>>;

const none: Limits = {};

const rules = new WeakMap<DescMethod, Policy>();

// Every call reads its limits, and getOption decodes the policy each time.
function rulesOf(method: DescMethod): Policy {
  const known = rules.get(method) ?? getOption(method, policy);
  rules.set(method, known);
  return known;
}

/** A number per minute or of failures. `off` removes a limit of the contract. */
export type LimitSetting = number | 'off';

/** How many failed attempts are admitted, as FailureLimits in policy.proto defines them. Undefined is no limit. */
export interface FailureLimits {
  readonly perAccount?: number | undefined;
  readonly consecutive?: number | undefined;
  readonly perNetwork?: number | undefined;
  readonly perProject?: number | undefined;
}

/**
 * The limits in force: the contract's numbers, overridden by LIMITS. Keys are `Service.Method`, with `:session` for the
 * budget of one session, `:supabase` for calls through /auth/v1, `:success` for successes of one account, `:codes` for unknown codes and `:account`, `:consecutive`, `:network` or `:project` for failed attempts. `*` stands for all
 * keys that LIMITS does not name.
 */
export class ConfiguredLimits {
  readonly #settings: Limits;
  readonly #ownOf: (projectId: string) => Limits;
  readonly #ofProjects = new WeakMap<Limits, ConfiguredLimits>();

  /** `ownOf` returns the limits that a project has of its own, the same object as long as they do not change. */
  constructor(settings: Limits, ownOf: (projectId: string) => Limits = () => none) {
    this.#settings = settings;
    this.#ownOf = ownOf;
  }

  /** Those of a project. */
  of(projectId: string): ConfiguredLimits {
    const own = this.#ownOf(projectId);
    if (Object.keys(own).length === 0) return this;
    const limits = this.#ofProjects.get(own) ?? new ConfiguredLimits({ ...this.#settings, ...own });
    this.#ofProjects.set(own, limits);
    return limits;
  }

  /**
   * The number in force, undefined for no limit. Where the contract has none (0), only LIMITS can set one by its key. Calls
   * through a surface have numbers of their own.
   */
  limitOf(key: string, byContract: number, surface?: string): number | undefined {
    const byDefault = surface ? (surfaceLimits[key] ?? byContract) : byContract;
    const named = this.#settings[surface ? `${key}:${surface}` : key];
    const setting = named ?? (byDefault > 0 ? (this.#settings['*'] ?? byDefault) : 'off');
    return setting === 'off' ? undefined : setting;
  }

  /** Calls of the method per minute and session. */
  perSession(method: DescMethod): number | undefined {
    return this.limitOf(`${limitKey(method)}:session`, rulesOf(method).perSessionPerMinute);
  }

  /** Calls of the method per minute and client address. With a number of successes, only the others count. */
  perAddress(method: DescMethod, surface?: string): number | undefined {
    return this.limitOf(limitKey(method), rulesOf(method).perMinute, surface);
  }

  /**
   * Successful calls of the method per minute, client address and account. It follows the limit of the address, also where
   * LIMITS removes or raises that one, unless LIMITS names it.
   */
  successes(method: DescMethod, surface?: string): number | undefined {
    const perAddress = this.perAddress(method, surface);
    if (perAddress === undefined) return undefined;
    const byContract = Math.max(rulesOf(method).successesPerAccountPerMinute, perAddress);
    const setting = this.#settings[`${limitKey(method)}:success`] ?? byContract;
    return setting === 'off' ? undefined : setting;
  }

  /** Unknown codes per minute and client address, and per minute and user. */
  unknownCodes(method: DescMethod): number | undefined {
    return this.limitOf(`${limitKey(method)}:codes`, rulesOf(method).unknownCodesPerMinute);
  }

  /** Failed attempts at the method. */
  failuresOf(method: DescMethod): FailureLimits {
    const key = limitKey(method);
    const byContract = rulesOf(method).failureLimits!;
    return {
      perAccount: this.limitOf(`${key}:account`, byContract.perAccount),
      consecutive: this.limitOf(`${key}:consecutive`, byContract.consecutive),
      perNetwork: this.limitOf(`${key}:network`, byContract.perNetwork),
      perProject: this.limitOf(`${key}:project`, byContract.perProject),
    };
  }

  /** Throws when LIMITS has a key that none of these methods has. */
  requireKnown(methods: readonly DescMethod[]): void {
    const known = [
      clientSecretKey,
      ...methods.map(limitKey),
      ...methods.flatMap(successKeys),
      ...methods.flatMap(failureKeys),
      ...methods.flatMap(codeKeys),
    ];
    const isKnown = (key: string) => key === '*' || known.includes(key.replace(/:(session|supabase)$/, ''));
    const unknown = Object.keys(this.#settings).filter((key) => !isKnown(key));
    if (unknown.length > 0)
      throw new Error(`LIMITS names no limit of this service: ${unknown.join(', ')} (known: ${known.join(', ')})`);
  }
}

/** The keys of the limits that a project may have of its own: all but those per session and of OAuth clients. */
export function projectLimitKeys(methods: readonly DescMethod[]): ReadonlySet<string> {
  return new Set([
    ...methods.flatMap((each) => [limitKey(each), `${limitKey(each)}:supabase`]),
    ...methods.flatMap(successKeys),
    ...methods.flatMap(failureKeys),
    ...methods.flatMap(codeKeys),
  ]);
}

/** The key of a method in LIMITS: `AuthService.SignIn`. */
export function limitKey(method: DescMethod): string {
  return `${method.parent.name}.${method.name}`;
}

function successKeys(method: DescMethod): string[] {
  return rulesOf(method).successesPerAccountPerMinute ? [`${limitKey(method)}:success`] : [];
}

function codeKeys(method: DescMethod): string[] {
  return rulesOf(method).unknownCodesPerMinute ? [`${limitKey(method)}:codes`] : [];
}

function failureKeys(method: DescMethod): string[] {
  if (!rulesOf(method).failureLimits) return [];
  return ['account', 'consecutive', 'network', 'project'].map((name) => `${limitKey(method)}:${name}`);
}
