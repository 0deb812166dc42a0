import type { DescMethod } from '@bufbuild/protobuf';
import type { ContextValues } from '@connectrpc/connect';
import { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { SessionService } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { Refusal } from '../../errors.ts';
import { kRemark } from '../../rpc/context.ts';
import type { Exposition } from './exposition.ts';

const { signIn, signInWithMagicLink } = AuthService.method;
const { refresh } = SessionService.method;

/** By the reason of the refusal or, where the response hides it, by the cause in the audit event or by the budget. */
const signInOutcomes: Readonly<Record<string, string>> = {
  unknown_email: 'unknown_email',
  wrong_password: 'wrong_password',
  unreadable_hash: 'unreadable_hash',
  no_password: 'no_password',
  changed_meanwhile: 'changed_meanwhile',
  banned: 'banned',
  email_not_verified: 'email_not_verified',
  account: 'account_limited',
  network: 'network_limited',
  project: 'project_limited',
  OVER_REQUEST_RATE_LIMIT: 'limited',
  OVER_CAPACITY: 'over_capacity',
};

const codeRefusals: Readonly<Record<string, string>> = {
  wrong_code: 'wrong',
  network: 'network_limited',
  project: 'project_limited',
};

const refreshResults: Readonly<Record<string, string>> = {
  REFRESH_TOKEN_ALREADY_USED: 'reused',
  REFRESH_TOKEN_SUPERSEDED: 'superseded',
  REFRESH_TOKEN_INVALID: 'invalid',
  SESSION_EXPIRED: 'expired',
  SESSION_REVOKED: 'revoked',
  OVER_REQUEST_RATE_LIMIT: 'limited',
};

/** The outcomes of sign-ins and refreshes. */
export class Outcomes {
  readonly #signIns = tally('success', 'other', ...Object.values(signInOutcomes));
  readonly #codesRefused = tally(...Object.values(codeRefusals));
  readonly #refreshes = tally('fresh', 'replayed', 'other', ...Object.values(refreshResults));
  #reuseDetected = 0;

  count(method: DescMethod, values: ContextValues, refusal: Refusal | undefined): void {
    if (method === refresh) this.#countRefresh(values.get(kRemark), refusal);
    else if (method === signIn) add(this.#signIns, signInOutcome(refusal));
    else if (method === signInWithMagicLink) this.#countCode(refusal);
  }

  #countCode(refusal: Refusal | undefined): void {
    const result = refusal && codeRefusals[causeOf(refusal)];
    if (result) add(this.#codesRefused, result);
  }

  #countRefresh(remark: string | undefined, refusal: Refusal | undefined): void {
    const success = remark === 'replayed' ? 'replayed' : 'fresh';
    add(this.#refreshes, refusal ? (refreshResults[refusal.reason] ?? 'other') : success);
    // Counted once per session: later refreshes with its tokens are only refused.
    if (remark === 'auth.refresh_reuse') this.#reuseDetected++;
  }

  expose(to: Exposition): void {
    to.counter('gatehouse_sign_ins_total', 'Sign-ins with a password, by outcome.', () =>
      [...this.#signIns].map(([outcome, count]) => [{ outcome }, count]),
    );
    to.counter('gatehouse_codes_refused_total', 'Refused codes of magic link mails, by result.', () =>
      [...this.#codesRefused].map(([result, count]) => [{ result }, count]),
    );
    to.counter('gatehouse_refreshes_total', 'Refreshes, by result.', () =>
      [...this.#refreshes].map(([result, count]) => [{ result }, count]),
    );
    to.counter(
      'gatehouse_refresh_reuse_detected_total',
      'Sessions revoked because a refresh token was reused.',
      () => this.#reuseDetected,
    );
  }
}

function signInOutcome(refusal: Refusal | undefined): string {
  return refusal ? (signInOutcomes[causeOf(refusal)] ?? 'other') : 'success';
}

function causeOf({ reason, options: { event, budget } }: Refusal): string {
  return event?.cause ?? budget ?? reason;
}

function tally(...names: string[]): Map<string, number> {
  return new Map(names.map((name) => [name, 0]));
}

function add(to: Map<string, number>, name: string): void {
  to.set(name, to.get(name)! + 1);
}
