import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { summaryToMessage } from '../../account/message.ts';
import { type AccountSummary, readAccountSummary } from '../../account/usage/account-summary.ts';
import { Refusal } from '../../errors.ts';
import type { CodeChallenge } from '../../one-time/flow.ts';
import { change, projectOf, type SessionOfCaller } from '../../rpc/context.ts';
import type { ProvedIdentity } from '../../user/identity.ts';
import { identityToMessage } from '../../user/identity-message.ts';
import { userToMessage } from '../../user/message.ts';
import type { User } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { handOutCode } from '../hand-out-code.ts';
import { renewedToMessage } from '../message.ts';
import { type SignedIn as OpenedSignIn, openSignIn, signInToMessage } from '../open-sign-in.ts';
import { padResponseTime } from '../response-padding.ts';
import { needsAddress, sendProof } from './address-proof.ts';
import { findOwner, type IdentitySignIn, type Owner } from './identity-owner.ts';
import { type Linked, linkToCaller } from './link.ts';
import type { KeptForExchange } from './sealed-exchange.ts';

type Kind = 'web' | 'native';

interface SignedIn {
  readonly owner: Owner;
  /** Absent where the address has to be verified first. */
  readonly session?: OpenedSignIn;
  /** In place of a session, for a client that brings a challenge. */
  readonly exchangeCode?: string;
}

/** What a sign-in is for. */
export interface Purpose {
  readonly kind: Kind;
  /** The client exchanges a code for the session (PKCE). */
  readonly exchange?: { readonly challenge: CodeChallenge; readonly kept: KeptForExchange } | undefined;
  /** Of a device that the user trusts, or empty. */
  readonly trustedDeviceToken: string;
}

/**
 * Signs in the user of an identity, in one transaction, as every other sign-in does. Without a verified address where one is
 * needed, no session is opened, and a mail is sent.
 */
export async function signInByIdentity(
  deps: AuthDeps,
  signIn: IdentitySignIn,
  { kind, exchange, trustedDeviceToken }: Purpose,
  context: HandlerContext,
) {
  const { registration, now } = deps;
  const at = now();
  const run = () =>
    change(context, async (em): Promise<SignedIn> => {
      const owner = await findOwner(em, deps, signIn, context, at);
      if (owner.isNew || !owner.user.emailVerifiedAt) await sendProof(em, deps, owner.user, at);
      if (!owner.user.emailVerifiedAt && needsAddress(deps)) return { owner };
      if (exchange) return { owner, exchangeCode: await handOut(em, deps, owner.user, exchange, at) };
      const proof = { user: owner.user, kind, method: 'oauth', trustedDeviceToken };
      return { owner, session: await openSignIn(em, deps, proof, context, at) };
    });
  // Otherwise the response would reveal whether somebody has registered the address.
  const hides = registration.hideRegistration && !signIn.proved.emailVerified;
  if (!hides) return toMessage(deps, await run(), at);
  const signedIn = await padResponseTime(run).catch(ignoreTakenAddress);
  return signedIn?.session || signedIn?.exchangeCode ? toMessage(deps, signedIn, at) : {};
}

function ignoreTakenAddress(thrown: unknown): undefined {
  const isTaken = thrown instanceof Refusal && thrown.options.metadata?.conflict === 'email';
  if (!isTaken) throw thrown;
}

function handOut(
  em: EntityManager,
  { oauth }: AuthDeps,
  user: User,
  { challenge, kept }: NonNullable<Purpose['exchange']>,
  now: Date,
): Promise<string> {
  return handOutCode(em, user, { challenge, method: 'oauth', sealed: oauth.exchanges.seal(user.id, kept) }, now);
}

function toMessage(deps: AuthDeps, { owner, session, exchangeCode }: SignedIn, now: Date) {
  const { user, identity, isNew } = owner;
  const shared = { identity: identityToMessage(identity), userCreated: isNew, user: userToMessage(user, now) };
  if (exchangeCode) return { ...shared, exchangeCode };
  return session ? { ...shared, ...signInToMessage(deps, session, now) } : shared;
}

interface Linking {
  readonly proved: ProvedIdentity;
  /** The session that links. */
  readonly session: SessionOfCaller;
  /** Opens another session too. A guest, whose session goes on with new tokens, gets none. */
  readonly kind?: Kind | undefined;
  /** Of a device that the user trusts, or empty. */
  readonly trustedDeviceToken: string;
}

/** What a link has led to. */
export type LinkedIn = Linked & { readonly session?: SignedIn['session']; readonly summary?: AccountSummary };

/** Links an identity to a user who is signed in, in a transaction that has checked their session. */
export async function linkAndSignIn(
  em: EntityManager,
  deps: AuthDeps,
  { proved, session, kind, trustedDeviceToken }: Linking,
  context: HandlerContext,
  now: Date,
): Promise<LinkedIn> {
  const linked = await linkToCaller(em, deps, { session, proved }, context, now);
  const { user, renewed } = linked;
  if (renewed) return { ...linked, summary: await readAccountSummary(em, user.projectId, user.id) };
  if (!kind) return linked;
  const proof = { user, kind, method: 'oauth', trustedDeviceToken };
  return { ...linked, session: await openSignIn(em, deps, proof, context, now) };
}

export function linkToMessage(deps: AuthDeps, { session, renewed, summary, ...linked }: LinkedIn, now: Date) {
  const { opener, usage } = deps;
  const owner = { ...linked, isNew: false };
  if (!renewed) return toMessage(deps, { owner, ...(session && { session }) }, now);
  const account = summaryToMessage(summary!, usage, now);
  return {
    ...toMessage(deps, { owner }, now),
    account,
    ...renewedToMessage(opener, linked.user.projectId, renewed, now),
  };
}

/** The name under which sign-ins with one identity are counted. */
export function subjectOf(context: HandlerContext, { provider, subject }: ProvedIdentity): string {
  return `${projectOf(context)} ${provider} ${subject}`;
}
