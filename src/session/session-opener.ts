import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { TokensSchema } from '../../gen/gatehouse/v1/session_pb.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { insert } from '../database/insert.ts';
import type { Origin } from '../rpc/origin.ts';
import type { UserRow } from '../user/user.ts';
import type { AccessTokens, TokenSubject } from './access-token.ts';
import { levelToMessage } from './message.ts';
import { hashSessionSecret, mintRefreshToken, newSessionSecret, type RefreshToken } from './refresh-token.ts';
import { type Lifetime, Session, type SessionKind } from './session.ts';
import { evictSessions } from './session-limit.ts';

type TokensInit = MessageInitShape<typeof TokensSchema>;

/** A new session, and the only copy of its first refresh token. */
export interface Opened {
  readonly session: Session;
  readonly refreshToken: RefreshToken;
  /** The account that the user is in. Absent for guests. */
  readonly account?: { readonly id: string; readonly role: string | null } | null;
}

interface Opening {
  readonly user: UserRow;
  readonly kind: SessionKind;
  /** The `amr` name of how the user proved who they are. */
  readonly method: string;
  /** The factor that signs in alone, at AAL2. */
  readonly factorId?: string | undefined;
  readonly origin: Origin;
  /** The operator who acts as the user. */
  readonly impersonatorId?: string;
  /** The machine that is signed in, for a fingerprint login. */
  readonly fingerprintId?: string;
  /** The name that the program of a login gave to itself. */
  readonly clientName?: string;
  /** Defaults to the lifetime of the kind. */
  readonly lifetime?: Lifetime;
  /** For a session that is opened for another device: when the user proved who they are. Default: now. */
  readonly authenticatedAt?: Date;
  /** For a session whose opening may have to be repeated. Default: new ones. */
  readonly identity?: SessionIdentity;
}

/** The id of a session, and the secret of its refresh tokens. */
export interface SessionIdentity {
  readonly id: string;
  readonly secret: Buffer;
}

export interface SessionRules {
  readonly lifetimes: Readonly<Record<SessionKind, Lifetime>>;
  /** Sessions that one user may have at once, so that rows cannot pile up. */
  readonly sessionsPerUser: number;
}

/** Opens sessions and issues their tokens. */
export class SessionOpener {
  readonly #keys: MasterKeys;
  readonly #access: AccessTokens;
  readonly #lifetimes: SessionRules['lifetimes'];
  readonly sessionsPerUser: number;

  constructor(keys: MasterKeys, access: AccessTokens, { lifetimes, sessionsPerUser }: SessionRules) {
    this.#keys = keys;
    this.#access = access;
    this.#lifetimes = lifetimes;
    this.sessionsPerUser = sessionsPerUser;
  }

  async open(em: EntityManager, context: HandlerContext, opening: Opening, now: Date): Promise<Opened> {
    const opened = this.draft(opening, now);
    await this.makeRoom(em, context, opened.session, now);
    await insert(em, opened.session);
    return opened;
  }

  /** Revokes sessions of the user beyond the limit, before or after the new one is inserted. */
  makeRoom(em: EntityManager, context: HandlerContext, { id, userId }: Session, now: Date): Promise<void> {
    return evictSessions(em, context, { userId, opened: id, limit: this.sessionsPerUser }, now);
  }

  /** A session that its caller inserts. */
  draft(opening: Opening, now: Date): Opened {
    const { user, kind, method, factorId, origin, lifetime, authenticatedAt, identity, ...about } = opening;
    const secret = identity?.secret ?? newSessionSecret();
    const session = Session.open(
      {
        id: identity?.id,
        authenticatedAt,
        projectId: user.projectId,
        userId: user.id,
        kind,
        method,
        factorId,
        lifetime: lifetime ?? this.#lifetimes[kind],
        impersonatorId: about.impersonatorId,
        fingerprintId: about.fingerprintId,
        clientName: about.clientName,
        secretHash: hashSessionSecret(secret),
        address: origin.address,
        userAgent: origin.userAgent,
      },
      now,
    );
    return { session, refreshToken: { userId: user.id, sessionId: session.id, generation: 0, secret } };
  }

  /** The first tokens of a session. */
  tokensOf({ session, refreshToken, account }: Opened, user: UserRow, now: Date): TokensInit {
    const subject: TokenSubject = {
      id: session.id,
      user_id: user.id,
      kind: session.kind,
      aal: session.aal,
      factor_count: user.factorCount,
      user_since: new Date(user.createdAt).getTime() / 1000,
      trusted_device_id: session.trustedDeviceId ?? null,
      token_epoch: session.tokenEpoch,
      amr: session.amr,
      email: user.email ?? null,
      email_verified: user.emailVerifiedAt != null,
      role: user.role,
      is_anonymous: user.isAnonymous,
      system_role: user.systemRole,
      impersonator_id: session.impersonatorId ?? null,
      expires_by: session.impersonatorId ? session.expiresAt : null,
      must_change_password: user.mustChangePassword,
      account_id: account?.id ?? null,
      account_role: account?.role ?? null,
      providers: user.providers,
      app_metadata: user.appMetadata,
      user_metadata: user.userMetadata,
    };
    return this.tokensFor(subject, user.projectId, refreshToken, now);
  }

  /** A new access token for the session, and the refresh token. */
  tokensFor(
    subject: TokenSubject,
    projectId: string,
    refreshToken: RefreshToken,
    now: Date,
    { isReadNext = true }: { readonly isReadNext?: boolean } = {},
  ): TokensInit {
    const { token, expiresAt } = this.#access.issue(subject, projectId, now, isReadNext);
    return {
      accessToken: token,
      refreshToken: mintRefreshToken(this.#keys, projectId, refreshToken),
      tokenType: 'bearer',
      expiresIn: durationFromMs(expiresAt.getTime() - Math.floor(now.getTime() / 1000) * 1000),
      expireTime: timestampFromDate(expiresAt),
      mustChangePassword: subject.must_change_password,
      factorRequired: this.#access.isRestricted(subject, now),
      nextAal: levelToMessage(subject.factor_count > 0 ? 2 : subject.aal),
    };
  }
}
