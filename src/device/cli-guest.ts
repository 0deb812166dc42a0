import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, projectOf, type SessionOfCaller } from '../rpc/context.ts';
import { hashSessionSecret, readRefreshToken } from '../session/refresh-token.ts';
import { endOf } from '../session/session.ts';
import type { Attempt } from './attempt-table.ts';

/** The session of a guest that a program has when it starts a login. */
export type GuestSession = SessionOfCaller;

interface TokenState {
  readonly tokenEpoch: number;
  readonly isAnonymous: boolean;
  readonly isCurrent: boolean;
  readonly ended: 'revoked' | 'expired' | null;
}

interface TokenLookup {
  readonly userId: string;
  readonly sessionId: string;
  readonly projectId: string;
  readonly generation: number;
  readonly secretHash: Buffer;
  readonly now: Date;
}

const lookUpToken = statement<TokenState, TokenLookup>(
  'cli_guest_by_token',
  `select s.token_epoch as "tokenEpoch", u.is_anonymous as "isAnonymous", s.generation = :generation as "isCurrent",
     ${endOf('s', 'u')} as ended
   from sessions s join users u on u.id = :userId
   where s.user_id = :userId and s.id = :sessionId and s.project_id = :projectId and s.secret_hash = :secretHash
     and s.impersonator_id is null`,
);

/**
 * The session of a guest's refresh token, which stays as it is. Attack: an operator who acts as a guest would hand the session to a
 * browser, where nothing shows any more who acts. Throws INVALID_ANON_REFRESH_TOKEN for a token that is unknown,
 * of another project, used, superseded or revoked, ANON_REFRESH_TOKEN_EXPIRED, and NOT_ANONYMOUS for a registered user.
 */
export async function readGuestToken(
  context: HandlerContext,
  keys: MasterKeys,
  text: string,
  now: Date,
): Promise<GuestSession> {
  const projectId = projectOf(context);
  const token = readRefreshToken(keys, projectId, text);
  if (!token) throw new Refusal('INVALID_ANON_REFRESH_TOKEN');
  const { userId, sessionId, generation, secret } = token;
  const lookup = { userId, sessionId, projectId, generation, secretHash: hashSessionSecret(secret), now };
  const [state] = await lookUpToken(autocommit(context), lookup);
  if (!state?.isCurrent || state.ended === 'revoked') throw new Refusal('INVALID_ANON_REFRESH_TOKEN');
  if (state.ended) throw new Refusal('ANON_REFRESH_TOKEN_EXPIRED');
  if (!state.isAnonymous) throw new Refusal('NOT_ANONYMOUS');
  return { userId, sessionId, tokenEpoch: state.tokenEpoch };
}

/** What a CLI login keeps. */
interface AboutCli {
  readonly guest?: GuestSession;
}

/** The guest whom the program was signed in as when it started the login. */
export function guestOf({ about }: Pick<Attempt, 'about'>): GuestSession | undefined {
  return (about as AboutCli).guest;
}

/** The same unless the browser has claimed the guest. */
export function unclaimedGuestOf(attempt: Pick<Attempt, 'about' | 'state'>): GuestSession | undefined {
  return attempt.state === 'pending' ? guestOf(attempt) : undefined;
}

// A guest who has registered has another epoch and is no guest.
const lookUpGuest = statement<{ isGuest: boolean }, GuestSession & { now: Date }>(
  'cli_guest_look',
  `select u.is_anonymous and s.token_epoch = :tokenEpoch and (${endOf('s', 'u')}) is null as "isGuest"
   from sessions s join users u on u.id = :userId where s.user_id = :userId and s.id = :sessionId`,
);

/** Whether the session is live still, and its user a guest. */
export async function isLiveGuest(on: Autocommit | EntityManager, guest: GuestSession, now: Date): Promise<boolean> {
  const [row] = await lookUpGuest(on, { ...guest, now });
  return row?.isGuest ?? false;
}
