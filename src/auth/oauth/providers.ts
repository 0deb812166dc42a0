import type { Clock } from '../../database/clock.ts';
import { Refusal } from '../../errors.ts';
import type { Outbound } from '../../outbound/outbound.ts';
import { rulesOf } from './known-providers.ts';
import { OpenIdProvider } from './open-id-provider.ts';
import { PlainProvider } from './plain-provider.ts';
import type { Provider, ProviderSettings } from './provider.ts';
import { type OnProviderFault, Remote } from './remote.ts';

export interface ProvidersDeps {
  readonly settings: readonly ProviderSettings[];
  readonly outbound: Pick<Outbound, 'send'>;
  readonly allowsPlainText: boolean;
  readonly onFault: OnProviderFault;
  readonly now: Clock;
}

/** The providers of OAUTH_PROVIDERS. */
export class Providers {
  readonly #byName: ReadonlyMap<string, Provider>;

  constructor({ settings, ...deps }: ProvidersDeps) {
    this.#byName = new Map(settings.map((each) => [each.name, create(each, deps)]));
  }

  get all(): readonly Provider[] {
    return [...this.#byName.values()];
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Throws OAUTH_PROVIDER_NOT_FOUND. */
  get(name: string): Provider {
    const provider = this.#byName.get(name);
    if (!provider) throw new Refusal('OAUTH_PROVIDER_NOT_FOUND');
    return provider;
  }
}

function create(settings: ProviderSettings, deps: Omit<ProvidersDeps, 'settings'>): Provider {
  const { outbound, onFault, allowsPlainText, now } = deps;
  const remote = new Remote(settings.name, outbound, onFault);
  const rules = rulesOf(settings);
  if ('plain' in rules) return new PlainProvider({ settings, rules: rules.plain, remote });
  return new OpenIdProvider({ settings, rules: rules.openId, remote, allowsPlainText, now });
}
