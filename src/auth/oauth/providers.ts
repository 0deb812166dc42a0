import type { Clock } from '../../database/clock.ts';
import { Refusal } from '../../errors.ts';
import type { Outbound } from '../../outbound/outbound.ts';
import type { Projects } from '../../project/projects.ts';
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
  readonly projects: Projects;
}

/** The providers of OAUTH_PROVIDERS. */
export class Providers {
  readonly #byName: ReadonlyMap<string, Provider>;
  readonly #projects: Projects;

  constructor({ settings, projects, ...deps }: ProvidersDeps) {
    this.#projects = projects;
    this.#byName = new Map(settings.map((each) => [each.name, create(each, deps)]));
  }

  /** Those of a project. */
  of(projectId: string): readonly Provider[] {
    return [...this.#byName.values()].filter(({ name }) => this.has(name, projectId));
  }

  /** Whether the users of a project can sign in with it. */
  has(name: string, projectId: string): boolean {
    return this.#byName.has(name) && this.#projects.of(projectId).settings.providers.includes(name);
  }

  /** Throws OAUTH_PROVIDER_NOT_FOUND. */
  get(name: string, projectId: string): Provider {
    const provider = this.#byName.get(name);
    if (!provider || !this.has(name, projectId)) throw new Refusal('OAUTH_PROVIDER_NOT_FOUND');
    return provider;
  }
}

function create(settings: ProviderSettings, deps: Omit<ProvidersDeps, 'settings' | 'projects'>): Provider {
  const { outbound, onFault, allowsPlainText, now } = deps;
  const remote = new Remote(settings.name, outbound, onFault);
  const rules = rulesOf(settings);
  if ('plain' in rules) return new PlainProvider({ settings, rules: rules.plain, remote });
  return new OpenIdProvider({ settings, rules: rules.openId, remote, allowsPlainText, now });
}
