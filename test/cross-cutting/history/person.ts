import { Code, ConnectError } from '@connectrpc/connect';
import type { Tokens } from '../../../gen/gatehouse/v1/session_pb.ts';
import { reasonOf } from '../../support/refusal.ts';
import type { Entry } from './checker.ts';
import type { Access, Call, Token } from './model.ts';

/** A call as it was made. */
interface Made {
  readonly call: Call;
  readonly calledAt: number;
  readonly returnedAt: number;
  readonly response: string | undefined;
  /** The replica that received it. */
  readonly replica: number;
  /** After this time it was refused with DEADLINE_EXCEEDED. */
  readonly deadline: number | undefined;
}

/** Whether a replica was killed, stopped or cut off from the database between these times. */
export type WasHurt = (replica: number, from: number, to: number) => boolean;

// With these reasons the service says that it has done nothing.
const harmless = ['SERVER_BUSY', 'SHUTTING_DOWN', 'TRY_AGAIN'];
const uncertain = [Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Internal, Code.Unknown, Code.Aborted];
const reads = ['Introspect', 'GetMe', 'GetSession', 'ListSessions', 'GetUser'];
/** More of them make the search too long. */
const mostUnknown = 6;

/** One user: the credentials that their clients hold, and every call that concerned them. */
export class Person {
  readonly id: string;
  readonly email: string;
  readonly first: { readonly name: string; readonly password: string };
  /** The newest last. */
  readonly passwords: string[];
  readonly accesses: (Access & { readonly text: string })[] = [];
  readonly tokens: (Token & { readonly text: string })[] = [];
  /** The name of each session whose id was returned. */
  readonly sessions = new Map<string, string>();
  readonly #made: Made[] = [];
  #names = 0;

  constructor(id: string, email: string, first: { name: string; password: string }) {
    this.id = id;
    this.email = email;
    this.first = first;
    this.passwords = [first.password];
  }

  newName(prefix: string): string {
    this.#names++;
    return `${prefix}${this.#names}`;
  }

  /** Too many calls have an unknown outcome. */
  get isBlurred(): boolean {
    return this.#made.filter(({ call, response }) => response === undefined && !isRead(call)).length >= mostUnknown;
  }

  /** Keeps the tokens of a response, and returns what they are. */
  keep(session: string, tokens: Tokens): Token {
    const { accessToken, refreshToken } = tokens;
    const claims = JSON.parse(Buffer.from(accessToken.split('.')[1]!, 'base64url').toString());
    const bytes = Buffer.from(refreshToken.slice('ghr_'.length), 'base64url');
    const generation = bytes.readUInt32BE(2 + bytes[1]! + 32);
    const token = { session, version: claims.token_epoch as number, generation };
    this.accesses.push({ session, version: token.version, text: accessToken });
    this.tokens.push({ ...token, text: refreshToken });
    return token;
  }

  /** Makes a call, and notes when it was made and what it returned. */
  async note(call: Call, replica: number, timeoutMs: number, send: () => Promise<string>): Promise<void> {
    const calledAt = performance.now();
    const note = (response: string | undefined, isLate = false) => {
      const deadline = isLate ? calledAt + timeoutMs : undefined;
      this.#made.push({ call, calledAt, returnedAt: performance.now(), response, replica, deadline });
    };
    try {
      note(await send());
    } catch (thrown) {
      if (!(thrown instanceof ConnectError)) throw thrown;
      const reason = reasonOf(thrown);
      if (reason !== undefined && harmless.includes(reason)) return;
      if (uncertain.includes(thrown.code)) note(undefined, thrown.code === Code.DeadlineExceeded);
      else note(reason ?? thrown.message);
    }
  }

  /** The history. Nothing takes effect later than `slack` after a deadline, if the replica was not hurt meanwhile. */
  history(slack: number, wasHurt: WasHurt): Entry<Call>[] {
    const seen = new Set(this.#made.flatMap(({ response }) => response?.split(/[ ,]/) ?? []));
    return this.#made.flatMap((made): Entry<Call>[] => {
      const { call, calledAt, returnedAt, response } = made;
      if (response !== undefined) return [{ operation: call, calledAt, returnedAt, response }];
      return mayMatter(call, seen)
        ? [{ operation: call, calledAt, returnedAt: latest(made, slack, wasHurt), response }]
        : [];
    });
  }
}

function isRead({ method }: Call): boolean {
  return reads.includes(method);
}

/** Whether an operation with an unknown outcome may have changed a response that was seen. */
function mayMatter(call: Call, seen: ReadonlySet<string>): boolean {
  if (call.method === 'SignIn') return seen.has(call.opens);
  if (call.method === 'UpdateMe') return seen.has(call.name);
  return !isRead(call);
}

function latest({ call, calledAt, replica, deadline }: Made, slack: number, wasHurt: WasHurt): number {
  // The session of a reused token is revoked whatever the deadline says.
  if (deadline === undefined || call.method === 'Refresh') return Number.POSITIVE_INFINITY;
  return wasHurt(replica, calledAt, deadline + slack) ? Number.POSITIVE_INFINITY : deadline + slack;
}
