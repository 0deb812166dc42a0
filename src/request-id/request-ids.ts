import type { Message } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { anyCaller, autocommit, projectOf, remark } from '../rpc/context.ts';
import { claimRequest, findRequest, keepMade, type Made, type RequestId, type RequestKey } from './request-id-table.ts';

type IdentifiedRequest = Message & { readonly requestId?: string | undefined };

/**
 * Runs the effect of a call in its transaction, and keeps what `madeOf` returns for repeats of the call. Without a request
 * id it only runs the effect.
 */
export type Recorded = <T>(em: EntityManager, effect: () => Promise<T>, madeOf: (result: T) => Made) => Promise<T>;

export interface Once<T, M extends Made> {
  /** Does the work of the first call. Its transaction is `recorded`. */
  readonly run: (recorded: Recorded) => Promise<T>;
  /** Returns the response of a repeat, outside a transaction. */
  readonly repeat: (made: M) => Promise<T>;
  /** How long the id is kept. Default: 24 hours. */
  readonly hours?: number;
  /** The id does not belong to the caller: for a method that everybody may call, with or without an access token. */
  readonly isPublic?: boolean;
}

/** One call with a request id. */
interface IdentifiedCall extends RequestKey, Pick<RequestId, 'requestMac' | 'expiresAt'> {
  /** The request without its secrets. */
  readonly content: string;
  readonly at: Date;
}

/** The transaction found its request id used. It is rolled back. */
class UsedMeanwhile extends Error {}

const purpose = 'request id';
const hourMs = 3_600_000;

/**
 * Makes calls with a `request_id` safe to repeat (AIP-155).
 *
 * The id is inserted in the transaction of the call's effect, so both are committed or neither is. Race: of parallel calls
 * with one id, one inserts it. The others wait for its transaction, roll back and return what it made. After a refusal the
 * same id can be sent again, with any request.
 */
export class RequestIds {
  readonly #keys: MasterKeys;
  readonly #now: Clock;

  constructor(keys: MasterKeys, now: Clock) {
    this.#keys = keys;
    this.#now = now;
  }

  /** Throws REQUEST_ID_REUSED when the caller has sent the id with another request. */
  async once<T, M extends Made>(
    context: HandlerContext,
    request: IdentifiedRequest,
    { run, repeat, hours = 24, isPublic = false }: Once<T, M>,
  ): Promise<T> {
    const { requestId } = request;
    if (requestId === undefined) return run((_, effect) => effect());
    const call = this.#identify(context, requestId, request, { hours, isPublic });
    const repeated = async (): Promise<{ readonly response: T } | undefined> => {
      const made = await this.#find<M>(context, call);
      if (!made) return undefined;
      remark(context, 'replayed');
      return { response: await repeat(made) };
    };
    const known = await repeated();
    if (known) return known.response;
    try {
      return await run(recordedAs(call));
    } catch (thrown) {
      if (!(thrown instanceof UsedMeanwhile || thrown instanceof Refusal)) throw thrown;
      // Race: what a parallel call with the id has changed may also be why this one is refused.
      const other = await repeated();
      if (other) return other.response;
      throw thrown instanceof Refusal ? thrown : new Refusal('TRY_AGAIN', { cause: thrown });
    }
  }

  #identify(
    context: HandlerContext,
    requestId: string,
    request: IdentifiedRequest,
    { hours, isPublic }: { hours: number; isPublic: boolean },
  ): IdentifiedCall {
    const at = this.#now();
    const content = contentOf(request);
    return {
      projectId: projectOf(context),
      caller: isPublic ? '' : nameOfCaller(context),
      method: `${context.service.name}.${context.method.name}`,
      requestId,
      content,
      requestMac: this.#keys.mac(purpose, content),
      expiresAt: new Date(at.getTime() + hours * hourMs),
      at,
    };
  }

  async #find<M extends Made>(context: HandlerContext, call: IdentifiedCall): Promise<M | undefined> {
    const [found] = await findRequest(autocommit(context), { ...call, now: call.at });
    if (!found) return undefined;
    if (!this.#keys.isMac(purpose, call.content, found.requestMac as Buffer)) throw new Refusal('REQUEST_ID_REUSED');
    return found.made as M;
  }
}

function recordedAs(call: IdentifiedCall): Recorded {
  return async (em, effect, madeOf) => {
    if (!(await claimRequest(em, call, call.at))) throw new UsedMeanwhile();
    const result = await effect();
    await keepMade(em, call, madeOf(result));
    return result;
  };
}

function nameOfCaller(context: HandlerContext): string {
  const caller = anyCaller(context);
  return caller.kind === 'user' ? `user:${caller.userId}` : `service:${caller.name}`;
}

/**
 * The request as text, the same for both transports. A password is left out: with the table and the master key, guesses
 * could be tested as fast as an HMAC is computed. The method compares the password with the stored hash.
 */
function contentOf(request: IdentifiedRequest): string {
  const { requestId: _, password, ...others } = request as IdentifiedRequest & { readonly password?: string };
  return JSON.stringify({ ...others, hasPassword: Boolean(password) }, inOrder);
}

/** For JSON.stringify: the keys of metadata have no order, and JSON has no text for a bigint. */
function inOrder(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { number: `${value}` };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
