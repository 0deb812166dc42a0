import { Refusal } from '../../errors.ts';
import type { Outbound } from '../../outbound/outbound.ts';
import type { Claims } from './provider.ts';

/** What is wrong with a provider, for the operator. Never a secret, and nothing of a person. */
export interface ProviderFault {
  readonly provider: string;
  readonly fault: string;
}

export type OnProviderFault = (fault: ProviderFault) => void;

/** Requests to one provider that run at the same time in one process. */
const mostRequests = 10;

type Sent = Parameters<Outbound['send']>[1];

/**
 * The servers of one provider. Each provider has its own places: calls that wait for a slow one use up the places of that one
 * only, and further ones are refused at once.
 */
export class Remote {
  readonly provider: string;
  readonly #outbound: Pick<Outbound, 'send'>;
  readonly #onFault: OnProviderFault;
  #running = 0;

  constructor(provider: string, outbound: Pick<Outbound, 'send'>, onFault: OnProviderFault) {
    this.provider = provider;
    this.#outbound = outbound;
    this.#onFault = onFault;
  }

  /** Throws OAUTH_PROVIDER_UNAVAILABLE. */
  async send(url: URL, sent?: Sent): Promise<Response> {
    if (this.#running >= mostRequests) throw this.unavailable('busy');
    this.#running++;
    try {
      return await this.#outbound.send(url, sent);
    } catch (thrown) {
      sent?.signal?.throwIfAborted();
      throw this.unavailable((thrown as { kind?: string }).kind ?? 'unreachable', thrown);
    } finally {
      this.#running--;
    }
  }

  /** A JSON object or list. Every status but 200 is a fault. */
  async getJson(url: URL, sent?: Sent): Promise<unknown> {
    const response = await this.send(url, { ...sent, headers: { accept: 'application/json', ...sent?.headers } });
    if (response.status !== 200) throw this.unavailable(`status ${response.status}`);
    return this.readJson(response);
  }

  async readJson(response: Response): Promise<unknown> {
    try {
      return JSON.parse(await response.text());
    } catch (thrown) {
      throw this.unavailable('no json', thrown);
    }
  }

  async getObject(url: URL, sent?: Sent): Promise<Claims> {
    const json = await this.getJson(url, sent);
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw this.unavailable('no object');
    return json as Claims;
  }

  unavailable(fault: string, cause?: unknown): Refusal {
    this.note(fault);
    return new Refusal('OAUTH_PROVIDER_UNAVAILABLE', { cause, metadata: { provider: this.provider } });
  }

  note(fault: string): void {
    this.#onFault({ provider: this.provider, fault });
  }
}
