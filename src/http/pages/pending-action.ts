import { randomUUID } from 'node:crypto';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { SignedIn } from './browser-session.ts';
import { redirect } from './own-form.ts';
import { type Failure, readFailure } from './trouble.ts';
import type { View, Visit } from './visit.ts';

/** An action of a form that was refused until its user proves who they are. */
export interface Pending {
  /** The page that performs the action. */
  readonly path: string;
  /** The fields of the form, without its token. */
  readonly fields: Readonly<Record<string, string>>;
  /** The action in words. */
  readonly deed: string;
  /** The address of the page with the form. */
  readonly back: string;
}

/** A pending action as it is sealed into an address. */
export interface SealedAction extends Pending {
  readonly id: string;
  /** In milliseconds since 1970. */
  readonly until: number;
}

const lifetimeMs = 900_000;
/** All headers of the next request have 16 KiB together. */
const mostCharacters = 6000;

/**
 * The way to the page that asks for a factor or a password, if that is what the action needs. The action goes along, encrypted,
 * in the address: it survives reloads, Back and the choice of another factor, without scripts. Undefined for other failures.
 */
export async function proofFor(
  visit: Visit,
  { reason }: Failure,
  describe: () => Promise<Pending>,
): Promise<View | undefined> {
  const signedIn = await visit.browser.signedIn();
  if (!signedIn || !canProve(reason, signedIn)) return undefined;
  // The form may be wrong as well. Its page then says so.
  const pending = await describe().catch((thrown) => void readFailure(thrown));
  if (!pending) return undefined;
  const value: SealedAction = { ...pending, id: randomUUID(), until: visit.now.getTime() + lifetimeMs };
  const action = await visit.browser.seal(stateOf(signedIn), value);
  return action.length > mostCharacters ? undefined : redirect(`/factor?action=${action}`);
}

function canProve(reason: string, { assurance }: SignedIn): boolean {
  return reason === 'INSUFFICIENT_AAL' ? assurance.factors.length > 0 : reason === 'REAUTHENTICATION_REQUIRED';
}

/** The action of the address or form. Undefined for one of another session, one that was altered, performed or has expired. */
export async function readPending(
  { browser, values, now }: Visit,
  signedIn: SignedIn,
): Promise<SealedAction | undefined> {
  const opened = await browser.open(stateOf(signedIn), values.get('action') ?? '');
  const pending = opened as SealedAction | undefined;
  return pending && pending.until > now.getTime() ? pending : undefined;
}

/** Whether this request is the one that performs the action. Race: two requests with two valid proofs at the same moment. */
export function takePending({ claimAction }: Visit, { user }: SignedIn, { id, until }: SealedAction): Promise<boolean> {
  return claimAction({ id, userId: user.id, expiresAt: new Date(until) });
}

/**
 * The session, and how its user has authenticated in it. A proof changes the latter, so that an action is performed after one
 * proof and not again after the next.
 */
function stateOf({ as, assurance }: SignedIn): string {
  const methods = assurance.amr.map(({ method, time }) => [method, time && timestampMs(time)]);
  return JSON.stringify(['action', sessionOf(as), methods]);
}

function sessionOf({ headers }: SignedIn['as']): string {
  const token = new Headers(headers).get('authorization') ?? '';
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  return String(claims.session_id);
}
