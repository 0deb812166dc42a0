import { randomUUID } from 'node:crypto';
import { Refusal } from '../errors.ts';
import { defaultProjectId } from '../project/project.ts';
import { type FactorRequirement, lacksFactor } from '../rpc/assurance.ts';
import { lowerAscii } from '../text/email-address.ts';
import { providersInMetadata as withProviders } from '../text/sign-in-providers.ts';
import { currentRoleOf } from '../user/current-account.ts';
import { bytesOfMetadata, mostMetadataBytes } from '../user/metadata.ts';
import { parseJwt, signatureIsGood, signJwt } from './jwt.ts';
import type { KeyRing } from './key-ring.ts';
import type { AuthenticationMethod } from './session.ts';

/** The claims of an access token whose signature and times were verified. */
export interface AccessClaims {
  readonly userId: string;
  readonly sessionId: string;
  readonly aal: number;
  /** The session's when the token was issued. The token is superseded once the session's is another. */
  readonly tokenEpoch: number;
  /** Issued while the session lacked a required factor. */
  readonly isRestricted: boolean;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/** The claims of a token and the key that has signed it. */
interface Verified {
  readonly claims: AccessClaims;
  readonly kid: string;
}

/** What a token was made of. Its claims are read only if it comes back. */
interface Issued {
  readonly payload: Readonly<Record<string, unknown>>;
  readonly kid: string;
}

/** What the tokens of a session are made of: parts of the session and of its user. */
export interface TokenSubject {
  readonly id: string;
  readonly user_id: string;
  readonly kind: string;
  readonly aal: number;
  readonly factor_count: number;
  /** When the user was created, in seconds since 1970. */
  readonly user_since: number;
  /** The trusted device on which the session was opened. */
  readonly trusted_device_id: string | null;
  readonly token_epoch: number;
  readonly amr: readonly AuthenticationMethod[];
  readonly email: string | null;
  readonly email_verified: boolean;
  readonly role: string;
  readonly is_anonymous: boolean;
  readonly system_role: string;
  /** The operator who acts as the user. */
  readonly impersonator_id: string | null;
  /** The latest expiry of an access token: the end of an impersonation. */
  readonly expires_by: Date | null;
  readonly must_change_password: boolean;
  /** Null for users in no account. */
  readonly account_id: string | null;
  readonly account_role: string | null;
  readonly providers: readonly string[];
  readonly app_metadata: Readonly<Record<string, unknown>>;
  readonly user_metadata: Readonly<Record<string, unknown>>;
}

/** SQL: when the user `u` was created, as a number, which every connection returns alike. */
export const userSince = (u: string) => `extract(epoch from ${u}.created_at)::float8 as user_since`;

/** The columns of a TokenSubject, of the session `s` and its user `u`. */
export const subjectColumns = `s.id, s.user_id, s.kind, s.aal, u.factor_count, ${userSince('u')}, s.trusted_device_id, s.token_epoch, s.amr, u.email, u.email_verified_at is not null as email_verified, u.role, u.is_anonymous, u.providers, u.app_metadata, u.user_metadata,
     u.must_change_password, u.system_role, s.impersonator_id, case when s.impersonator_id is not null then s.expires_at end as expires_by,
     u.current_account_id as account_id, ${currentRoleOf('u')} as account_role`;

/** The part of a session and its user that `isRestricted` looks at. */
export type RestrictableState = Pick<
  TokenSubject,
  | 'kind'
  | 'aal'
  | 'factor_count'
  | 'system_role'
  | 'is_anonymous'
  | 'impersonator_id'
  | 'user_since'
  | 'trusted_device_id'
>;

/** A claim that TOKEN_CLAIMS adds. */
export type AccountClaim = 'account_id' | 'account_role';

interface AccessTokenOptions {
  readonly issuer: string;
  readonly lifetime: number;
  readonly accountClaims: readonly AccountClaim[];
  readonly factorRequirement: FactorRequirement;
}

const audience = 'authenticated';
// Another audience, so that no backend that verifies a token offline takes one of a session that lacks a required factor.
const restrictedAudience = 'gatehouse:factor-required';
// Replicas whose clocks differ by less than this trust each other's tokens (RFC 8725 allows for skew).
const leewaySeconds = 30;
const rememberedAtMost = 10_000;
const issuedAtMost = 200;

/** Issues and verifies access tokens: JWTs signed with ES256, or RS256 by an imported key, with the claims that Supabase's clients expect, and a `jti`. */
export class AccessTokens {
  readonly #ring: KeyRing;
  readonly #issuer: string;
  readonly #accountClaims: readonly AccountClaim[];
  readonly #requirement: FactorRequirement;
  readonly lifetime: number;
  // The signature of a token is verified once. Its times and the state of its session are checked on every call.
  readonly #verified = new LastTokens<Verified>(rememberedAtMost);
  // Those that this process has signed just now: a sign-in through /auth/v1 reads its user with the new token.
  readonly #issued = new LastTokens<Issued>(issuedAtMost);

  constructor(ring: KeyRing, options: AccessTokenOptions) {
    this.#ring = ring;
    this.#issuer = options.issuer;
    this.#accountClaims = options.accountClaims;
    this.#requirement = options.factorRequirement;
    this.lifetime = options.lifetime;
  }

  /** `isReadNext`: a call with this token follows at once, and spares the verification of its signature. */
  issue(subject: TokenSubject, projectId: string, now: Date, isReadNext: boolean): { token: string; expiresAt: Date } {
    const iat = Math.floor(now.getTime() / 1000);
    const exp = Math.min(iat + this.lifetime, Math.floor((subject.expires_by?.getTime() ?? Infinity) / 1000));
    const claims = {
      iss: this.#issuer,
      sub: subject.user_id,
      aud: this.isRestricted(subject, now) ? restrictedAudience : audience,
      exp,
      iat,
      jti: randomUUID(),
      // As clients of Supabase Auth compare it.
      email: lowerAscii(subject.email ?? ''),
      email_verified: subject.email_verified,
      phone: '',
      ...metadataClaims(subject),
      role: subject.role,
      aal: `aal${subject.aal}`,
      amr: subject.amr,
      session_id: subject.id,
      token_epoch: subject.token_epoch,
      is_anonymous: subject.is_anonymous,
      ...this.#accountOf(subject),
      // For verifiers that do not ask this service: the issuer and the keys are those of all projects.
      ...(projectId !== defaultProjectId && { project_id: projectId }),
      // For other services. This service reads the role from the database on every call.
      ...(subject.system_role === 'operator' && { gatehouse_role: 'operator' }),
      // RFC 8693, section 4.1.
      ...(subject.impersonator_id && { act: { sub: subject.impersonator_id } }),
    };
    const signer = this.#ring.signer();
    const token = signJwt('JWT', claims, signer);
    if (isReadNext) this.#issued.set(token, { payload: claims, kid: signer.id });
    return { token, expiresAt: new Date(exp * 1000) };
  }

  /** Whether a session lacks the factor that its user must have. */
  isRestricted(state: RestrictableState, now: Date): boolean {
    const facts = {
      sessionKind: state.kind,
      aal: state.aal,
      hasFactor: state.factor_count > 0,
      isOperator: state.system_role === 'operator',
      isGuest: state.is_anonymous,
      impersonatorId: state.impersonator_id,
      userSince: state.user_since,
      isOnTrustedDevice: state.trusted_device_id !== null,
    };
    return lacksFactor(this.#requirement, facts, now);
  }

  /** Nothing for users in no account. */
  #accountOf(subject: TokenSubject): Partial<Record<AccountClaim, string>> {
    // Without the role the user was removed from the account.
    if (!subject.account_role) return {};
    return Object.fromEntries(this.#accountClaims.map((name) => [name, subject[name] ?? '']));
  }

  /**
   * Verifies a token. Throws TOKEN_INVALID unless a key of this installation that is not revoked signed it as an access
   * token for this audience, and TOKEN_EXPIRED after its expiry. The state of the session is not checked.
   */
  async read(token: string, now: Date): Promise<AccessClaims> {
    const claims = await this.#verify(token);
    if (claims.issuedAt.getTime() > now.getTime() + leewaySeconds * 1000) throw new Refusal('TOKEN_INVALID');
    if (claims.expiresAt <= now) throw new Refusal('TOKEN_EXPIRED');
    return claims;
  }

  #readIssued(token: string): Verified | undefined {
    const issued = this.#issued.get(token);
    return issued && { claims: readClaims(issued.payload, this.#issuer), kid: issued.kid };
  }

  async #verify(token: string): Promise<AccessClaims> {
    const known = this.#verified.get(token) ?? this.#readIssued(token);
    // A key that was revoked since then is no longer in the ring.
    if (known && (await this.#ring.verifier(known.kid))) return known.claims;
    const parsed = parseJwt(token);
    const kid = parsed?.header.kid;
    // The algorithm is that of the key and never taken from the header. Keys come from the ring: jku, x5u and jwk are ignored
    // (RFC 8725, section 3).
    const fits = parsed && headerFits(parsed.header) && typeof kid === 'string';
    const key = fits ? await this.#ring.verifier(kid) : undefined;
    if (!fits || !key || !signatureIsGood(parsed, key)) throw new Refusal('TOKEN_INVALID');
    const claims = readClaims(parsed.payload, this.#issuer);
    this.#verified.set(token, { claims, kid });
    return claims;
  }
}

/** What is known of the tokens that came last, in two Maps, so that nothing is deleted from either: see `Slots`. */
class LastTokens<Known> {
  readonly #atMost: number;
  #newer = new Map<string, Known>();
  #older = new Map<string, Known>();

  constructor(atMost: number) {
    this.#atMost = atMost;
  }

  get(token: string): Known | undefined {
    return this.#newer.get(token) ?? this.#older.get(token);
  }

  set(token: string, known: Known): void {
    if (this.#newer.size >= this.#atMost / 2) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(token, known);
  }
}

/** Imported metadata may be larger than a token can carry. */
function metadataClaims({ is_anonymous, providers, app_metadata, user_metadata }: TokenSubject) {
  const fits = bytesOfMetadata({ appMetadata: app_metadata, userMetadata: user_metadata }) <= mostMetadataBytes;
  return {
    app_metadata: withProviders(fits ? app_metadata : {}, is_anonymous ? [] : providers),
    user_metadata: fits ? user_metadata : {},
  };
}

function headerFits(header: Readonly<Record<string, unknown>>): boolean {
  return header.typ === 'JWT' && !('crit' in header) && !('b64' in header);
}

function readClaims(payload: Readonly<Record<string, unknown>>, issuer: string): AccessClaims {
  const { iss, aud, sub, session_id, token_epoch, aal, iat, exp, jti, nbf } = payload;
  const isOurs =
    iss === issuer && (aud === audience || aud === restrictedAudience) && typeof jti === 'string' && nbf === undefined;
  if (!isOurs || !isUuid(sub) || !isUuid(session_id) || !isEpoch(token_epoch) || !isTime(iat) || !isTime(exp))
    throw new Refusal('TOKEN_INVALID');
  return {
    userId: sub,
    sessionId: session_id,
    aal: aal === 'aal2' ? 2 : 1,
    tokenEpoch: token_epoch,
    isRestricted: aud === restrictedAudience,
    issuedAt: new Date(iat * 1000),
    expiresAt: new Date(exp * 1000),
  };
}

function isUuid(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);
}

function isEpoch(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

// Seconds up to the year 9999. A time that a Date cannot hold is NaN, and every comparison with it is false.
function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= 253_402_300_799;
}
