import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { RefreshRequestSchema, SessionService } from '../../gen/gatehouse/v1/session_pb.ts';

/** Refresh tokens whose attempt ids a client remembers. Those used least recently are forgotten first. */
const rememberedAtMost = 1000;

/** An id for `RefreshRequest.attempt_id`: 128 random bits in base64url. */
export function newAttemptId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/**
 * Gives every Refresh without an attempt id one that stays the same for its refresh token, so that a call whose response
 * was lost can be repeated at any time by the same client.
 */
export function withAttemptIds(transport: Transport): Transport {
  const attempts = new Attempts();
  return {
    stream: (...call) => transport.stream(...call),
    unary(method, signal, timeoutMs, header, input, contextValues) {
      const named = isRefresh(method) ? attempts.name(input as MessageInitShape<typeof RefreshRequestSchema>) : input;
      return transport.unary(method, signal, timeoutMs, header, named as typeof input, contextValues);
    },
  };
}

function isRefresh(method: object): boolean {
  return method === SessionService.method.refresh;
}

/** The attempt ids by their refresh tokens. */
class Attempts {
  readonly #ids = new Map<string, string>();

  name(input: MessageInitShape<typeof RefreshRequestSchema>) {
    const request = create(RefreshRequestSchema, input);
    if (request.attemptId !== '') return request;
    return create(RefreshRequestSchema, { ...request, attemptId: this.#idFor(request.refreshToken) });
  }

  // Kept after a response as well: the client may fail to store it, and call again.
  #idFor(refreshToken: string): string {
    const id = this.#ids.get(refreshToken) ?? newAttemptId();
    this.#ids.delete(refreshToken);
    if (this.#ids.size >= rememberedAtMost) this.#ids.delete(this.#ids.keys().next().value!);
    this.#ids.set(refreshToken, id);
    return id;
  }
}
