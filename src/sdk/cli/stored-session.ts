import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Tokens } from '../../../gen/gatehouse/v1/session_pb.ts';
import { newAttemptId } from '../attempts.ts';
import type { Clients } from '../clients.ts';
import { CliError } from './cli-error.ts';
import { deleteTokens, readTokens, type StoredTokens, succeedTokens, writeTokens } from './token-file.ts';

/** Milliseconds before its end at which an access token is replaced. */
const margin = 30_000;

type NewTokens = Pick<Tokens, 'accessToken' | 'refreshToken' | 'expiresIn'>;

/** The session of a program, kept in a file and refreshed when its access token is about to expire. */
export class StoredSession {
  readonly #clients: Pick<Clients, 'auth' | 'sessions'>;
  readonly #file: string;

  constructor(clients: Pick<Clients, 'auth' | 'sessions'>, file: string) {
    this.#clients = clients;
    this.#file = file;
  }

  /**
   * Keeps the tokens of a new session instead of those of an earlier one, which is revoked. If they cannot be written, the
   * new session is revoked: nothing could use it.
   */
  async begin(tokens: NewTokens): Promise<void> {
    const { sessions } = this.#clients;
    const earlier = await writeTokens(this.#file, stored(tokens)).catch(async (error) => {
      await sessions.signOut({ refreshToken: tokens.refreshToken }).catch(() => {});
      throw error;
    });
    // The user is signed in, also if this fails.
    if (earlier) await sessions.signOut({ refreshToken: earlier.refreshToken }).catch(() => {});
  }

  /** A valid access token. Throws a CliError if the user must sign in. */
  async accessToken(): Promise<string> {
    const tokens = readTokens(this.#file);
    if (!tokens) throw new CliError('not_signed_in', 'You are not signed in.');
    return isFresh(tokens) ? tokens.accessToken : this.#refresh(tokens);
  }

  /** Revokes the session, then deletes the file. Returns false if there was no session. */
  async end(): Promise<boolean> {
    const tokens = readTokens(this.#file);
    // The file is kept if this fails: otherwise the session could no longer be revoked from here.
    if (tokens) await this.#clients.sessions.signOut({ refreshToken: tokens.refreshToken });
    deleteTokens(this.#file);
    return tokens !== undefined;
  }

  async #connect(): Promise<void> {
    await this.#clients.auth.getSettings({}).catch((error) => {
      if (isUnreached(error)) throw error;
    });
  }

  async #refresh({ refreshToken, attemptId }: StoredTokens): Promise<string> {
    // Race: while this process connects, or is suspended, others may refresh more than once, and the token that it has read
    // is then a stolen one to the service. Connected, it sends what it reads at once.
    await this.#connect();
    if (readTokens(this.#file)?.refreshToken !== refreshToken) return this.accessToken();
    try {
      const { tokens } = await this.#clients.sessions.refresh({ refreshToken, attemptId });
      const latest = await succeedTokens(this.#file, refreshToken, stored(tokens!));
      return (latest ?? tokens!).accessToken;
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.Unauthenticated) throw error;
      const latest = readTokens(this.#file);
      if (latest && latest.refreshToken !== refreshToken) return latest.accessToken;
      throw new CliError('not_signed_in', 'The session was revoked or has expired.', { cause: error });
    }
  }
}

/** Any response shows that there is a connection. */
function isUnreached(error: unknown): boolean {
  return !(error instanceof ConnectError) || [Code.Unavailable, Code.DeadlineExceeded].includes(error.code);
}

function isFresh({ expiresAt }: StoredTokens): boolean {
  return Date.now() < expiresAt - margin;
}

function stored({ accessToken, refreshToken, expiresIn }: NewTokens): StoredTokens {
  return { accessToken, refreshToken, expiresAt: Date.now() + millisecondsOf(expiresIn), attemptId: newAttemptId() };
}

function millisecondsOf(duration: Duration | undefined): number {
  return duration ? durationMs(duration) : 0;
}
