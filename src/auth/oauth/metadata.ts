import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../../database/clock.ts';
import type { Claims } from './provider.ts';
import type { Remote } from './remote.ts';

/** The metadata of an OpenID provider (OpenID Connect Discovery 1.0), as far as a sign-in needs it. */
export interface Metadata {
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  readonly jwksUri: string;
  /** Empty where the provider has none. */
  readonly userInfoEndpoint: string;
  readonly usesBasic: boolean;
  readonly sendsIssuer: boolean;
}

interface MetadataOptions {
  readonly remote: Remote;
  readonly url: URL;
  /** What the metadata must name as the issuer. Attack: metadata of another issuer. */
  readonly issuer: string;
  readonly allowsPlainText: boolean;
  readonly now: Clock;
}

const freshFor = 3600_000;
/** While the provider does not respond, older metadata and keys serve. */
const usableFor = 24 * 3600_000;
/** After a failure, older metadata and keys serve so long without another request. */
const failurePause = 30_000;
/** Between two requests for keys because of an unknown one: anybody can name one. */
const keyPause = 30_000;

/** A document of a provider, kept for an hour. However many calls need it, it is requested once. */
class Cached<T> {
  readonly #request: () => Promise<T>;
  readonly #now: Clock;
  #kept: { readonly value: T; readonly at: number } | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<T> | undefined;

  constructor(request: () => Promise<T>, now: Clock) {
    this.#request = request;
    this.#now = now;
  }

  get age(): number {
    return this.#kept ? Math.abs(this.#now().getTime() - this.#kept.at) : Number.POSITIVE_INFINITY;
  }

  async get(oldest = freshFor): Promise<T> {
    const usable = this.age <= usableFor ? this.#kept : undefined;
    const hasFailed = this.#now().getTime() - this.#failedAt < failurePause;
    if (usable && (this.age <= oldest || hasFailed)) return usable.value;
    try {
      return await this.#renew();
    } catch (thrown) {
      this.#failedAt = this.#now().getTime();
      if (usable) return usable.value;
      throw thrown;
    }
  }

  #renew(): Promise<T> {
    this.#running ??= this.#request()
      .then((value) => {
        this.#kept = { value, at: this.#now().getTime() };
        return value;
      })
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }
}

/** The metadata and the keys of one OpenID provider. */
export class ProviderDocuments {
  readonly #metadata: Cached<Metadata>;
  readonly #keys: Cached<JWTVerifyGetKey>;

  constructor(options: MetadataOptions) {
    const { remote, url, now } = options;
    this.#metadata = new Cached(async () => readMetadata(options, await remote.getObject(url)), now);
    this.#keys = new Cached(async () => {
      const { jwksUri } = await this.metadata();
      const keys = await remote.getObject(new URL(jwksUri));
      try {
        return createLocalJWKSet(keys as unknown as JSONWebKeySet);
      } catch (thrown) {
        throw remote.unavailable('no keys', thrown);
      }
    }, now);
  }

  metadata(): Promise<Metadata> {
    return this.#metadata.get();
  }

  /** The key of a token. When it is unknown, the keys may have been rotated, and are requested again. */
  readonly key: JWTVerifyGetKey = async (header, token) => {
    const find = await this.#keys.get();
    try {
      return await find(header, token);
    } catch (thrown) {
      if (!(thrown instanceof errors.JWKSNoMatchingKey) || this.#keys.age < keyPause) throw thrown;
      return (await this.#keys.get(0))(header, token);
    }
  };
}

function readMetadata({ remote, issuer, allowsPlainText }: MetadataOptions, json: Claims): Metadata {
  const url = (name: string, isRequired = true): string => {
    const value = json[name];
    if (value === undefined && !isRequired) return '';
    const isUrl = typeof value === 'string' && URL.canParse(value);
    const { protocol } = isUrl ? new URL(value) : { protocol: '' };
    if (protocol === 'https:' || (protocol === 'http:' && allowsPlainText)) return value as string;
    throw remote.unavailable(`metadata without ${name}`);
  };
  if (json.issuer !== issuer) throw remote.unavailable('metadata of another issuer');
  const methods = json.token_endpoint_auth_methods_supported;
  return {
    issuer,
    authorizationEndpoint: url('authorization_endpoint'),
    tokenEndpoint: url('token_endpoint'),
    jwksUri: url('jwks_uri'),
    userInfoEndpoint: url('userinfo_endpoint', false),
    usesBasic: !(Array.isArray(methods) && methods.includes('client_secret_post')),
    sendsIssuer: json.authorization_response_iss_parameter_supported === true,
  };
}
