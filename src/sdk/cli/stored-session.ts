import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Tokens } from '../../../gen/gatehouse/v1/session_pb.ts';
import { newAttemptId } from '../attempts.ts';
import type { Clients } from '../clients.ts';
import { CliError } from './cli-error.ts';
import { deleteTokens, readTokens, type StoredTokens, writeTokens } from './token-file.ts';

/** Milliseconds before its end at which an access token is replaced. */
const margin = 30_000;

type NewTokens = Pick<Tokens, 'accessToken' | 'refreshToken' | 'expiresIn'>;

/** The session of a program, kept in a file and refreshed when its access token is about to expire. */
export class StoredSession {
  readonly #sessions: Clients['sessions'];
  readonly #file: string;

  constructor({ sessions }: Pick<Clients, 'sessions'>, file: string) {
    this.#sessions = sessions;
    this.#file = file;
  }

  /**
   * Keeps the tokens of a new session instead of those of an earlier one, which is revoked. If they cannot be written, the
   * new session is revoked: nothing could use it.
   */
  async begin(tokens: NewTokens): Promise<void> {
    const { refreshToken } = await this.#replace(tokens).catch(async (error) => {
      await this.#sessions.signOut({ refreshToken: tokens.refreshToken }).catch(() => {});
      throw error;
    });
    // The user is signed in, also if this fails.
    if (refreshToken) await this.#sessions.signOut({ refreshToken }).catch(() => {});
  }

  /** A valid access token. Throws a CliError if the user must sign in. */
  async accessToken(): Promise<string> {
    const tokens = await readTokens(this.#file);
    if (!tokens) throw new CliError('not_signed_in', 'You are not signed in.');
    return Date.now() < tokens.expiresAt - margin ? tokens.accessToken : this.#refresh(tokens);
  }

  /** Revokes the session, then deletes the file. Returns false if there was no session. */
  async end(): Promise<boolean> {
    const tokens = await readTokens(this.#file);
    // The file is kept if this fails: otherwise the session could no longer be revoked from here.
    if (tokens) await this.#sessions.signOut({ refreshToken: tokens.refreshToken });
    await deleteTokens(this.#file);
    return tokens !== undefined;
  }

  /** Returns what was in the file. */
  async #replace(tokens: NewTokens): Promise<Partial<StoredTokens>> {
    const earlier = await readTokens(this.#file);
    await writeTokens(this.#file, stored(tokens));
    return earlier ?? {};
  }

  async #refresh({ refreshToken, attemptId }: StoredTokens): Promise<string> {
    try {
      const { tokens } = await this.#sessions.refresh({ refreshToken, attemptId });
      const latest = await readTokens(this.#file);
      // Another process has refreshed, or signed out, in the meantime. What it stored is newer.
      if (latest?.refreshToken === refreshToken) await writeTokens(this.#file, stored(tokens!));
      return tokens!.accessToken;
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.Unauthenticated) throw error;
      const latest = await readTokens(this.#file);
      if (latest && latest.refreshToken !== refreshToken) return latest.accessToken;
      throw new CliError('not_signed_in', 'The session was revoked or has expired.', { cause: error });
    }
  }
}

function stored({ accessToken, refreshToken, expiresIn }: NewTokens): StoredTokens {
  return { accessToken, refreshToken, expiresAt: Date.now() + millisecondsOf(expiresIn), attemptId: newAttemptId() };
}

function millisecondsOf(duration: Duration | undefined): number {
  return duration ? durationMs(duration) : 0;
}
