import type { Tokens } from '../../gen/gatehouse/v1/session_pb.ts';

/** A session whose tokens were returned, and what was acknowledged about it since. */
export interface HeldSession {
  readonly id: string;
  readonly openedBy: 'register' | 'sign-in' | 'device';
  /** `unsure` after a call without a response that may have revoked the session, or replaced its tokens. */
  state: 'live' | 'revoked' | 'unsure';
  accessToken: string;
  refreshToken: string;
  /** Whether the user has acknowledged its revocation by RevokeSession. */
  isRevokedByName: boolean;
}

export interface HeldInvite {
  readonly id: string;
  readonly email: string;
  readonly code: string;
  state: 'pending' | 'revoked' | 'accepted';
}

/** One user, what was acknowledged about them, and the one client that calls for them: one call after another. */
export class Person {
  readonly email: string;
  /** Of the account that the registration puts them into. */
  readonly isOwner: boolean;
  password: string;
  userId = '';
  accountId = '';
  /** The sum of the acknowledged amounts. */
  used = 0n;
  passwordChanges = 0;
  readonly sessions: HeldSession[] = [];
  /** API keys. */
  readonly keys: string[] = [];
  readonly invites: HeldInvite[] = [];

  constructor(email: string, isOwner = true) {
    this.email = email;
    this.isOwner = isOwner;
    this.password = `the first password of ${email}`;
  }

  keep(id: string, tokens: Tokens, openedBy: HeldSession['openedBy']): HeldSession {
    const { accessToken, refreshToken } = tokens;
    const session = { id, openedBy, state: 'live', accessToken, refreshToken, isRevokedByName: false } as const;
    this.sessions.push({ ...session });
    return this.sessions.at(-1)!;
  }

  get live(): HeldSession[] {
    return this.sessions.filter(({ state }) => state === 'live');
  }
}

/** How often the session was refreshed before this token was returned. */
export function generationOf(refreshToken: string): number {
  const bytes = Buffer.from(refreshToken.slice('ghr_'.length), 'base64url');
  return bytes.readUInt32BE(2 + bytes[1]! + 32);
}
