import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { expect } from 'vitest';
import type { TestDatabase } from './database.ts';
import { reasonsOf } from './documented-reasons.ts';
import { reasonOf } from './refusal.ts';

const secretFields = [
  'password',
  'currentPassword',
  'newPassword',
  'refreshToken',
  'accessToken',
  'token',
  'accountInviteCode',
  'clientNonce',
  'pollingCode',
  'pollingSecret',
  'loginCode',
  'anonRefreshToken',
  'deviceCode',
  'userCode',
  'cliCode',
  'authCode',
  'apiKey',
];
// Words of the inside of a service: SQL, files, libraries.
const internals =
  /\b(select|insert|update|delete)\b .*\b(from|into|set)\b|\.ts\b|node_modules|mikro|kysely|postgres|\bpg_|\bat .*:\d+:\d+/i;

// An e-mail address, an id, a network address.
const personal = /@|[0-9a-f]{8}-[0-9a-f]{4}-|\d+\.\d+\.\d+\.\d+/;

/** A check that a test may leave out, because it breaks on purpose what the check is about. */
export type Check = 'docs' | 'errors' | 'health' | 'secrets' | 'orphans';

/**
 * Records every call of a test, and checks after the test what holds after every test: no input yields INTERNAL or
 * UNKNOWN, and every error has a reason; errors reveal no internals; the process is up; the database, the log and the
 * metrics hold no secret; rows refer to rows that are there.
 */
export class Ledger {
  readonly errors: ConnectError[] = [];
  /** Reasons that docs/api.md does not list for the method that gave them. */
  readonly undocumented: string[] = [];
  readonly lines: string[] = [];
  /** The metrics of the replicas at the end of the test. */
  readonly metrics: string[] = [];
  readonly #secrets = new Set<string>();

  log(line: string): void {
    this.lines.push(line);
  }

  /** Adds a value that no row, no line of the log and no metric may hold. */
  keepSecret(value: string): void {
    if (value.length >= 6) this.#secrets.add(value);
  }

  recorder(): Interceptor {
    return (next) => async (req) => {
      if (!req.stream) this.#collect(req.message);
      try {
        const res = await next(req);
        if (!res.stream) this.#collect(res.message);
        return res;
      } catch (thrown) {
        const error = ConnectError.from(thrown);
        this.errors.push(error);
        this.#lookUp(error, req.method);
        throw thrown;
      }
    };
  }

  async check(
    database: TestDatabase,
    health: { check(request: object): Promise<unknown> },
    skip: readonly Check[],
  ): Promise<void> {
    const unexplained = this.errors.filter((each) => [Code.Internal, Code.Unknown].includes(each.code));
    expect(unexplained, 'no input yields INTERNAL or UNKNOWN').toEqual([]);
    expect(
      this.errors.filter((each) => each.code !== Code.Canceled && !reasonOf(each) && each.code !== Code.NotFound),
      'every error has a reason',
    ).toEqual([]);
    if (!skip.includes('docs')) expect(this.undocumented, 'docs/api.md lists every reason').toEqual([]);
    if (!skip.includes('errors'))
      expect(
        this.errors.filter((each) => internals.test(each.rawMessage)),
        'errors reveal no internals',
      ).toEqual([]);
    if (!skip.includes('health'))
      expect(await health.check({}).catch((error: unknown) => error), 'the process is up').not.toBeInstanceOf(Error);
    if (!skip.includes('secrets')) await this.#requireKeptSecrets(database);
    if (!skip.includes('orphans')) await requireNoOrphans(database);
  }

  async #requireKeptSecrets(database: TestDatabase): Promise<void> {
    const metrics = this.metrics.join('');
    expect(metrics, 'the metrics name no person').not.toMatch(personal);
    const places = { 'the database': await database.dump(), 'the log': this.lines.join(''), 'the metrics': metrics };
    const found = Object.entries(places).flatMap(([place, text]) =>
      [...this.#secrets]
        .filter((secret) => spellings(secret).some((each) => text.includes(each)))
        .map((secret) => `${place} holds ${secret}`),
    );
    expect(found, 'nothing holds a secret').toEqual([]);
  }

  #lookUp(error: ConnectError, { name, parent }: DescMethod): void {
    const reason = reasonOf(error);
    const isOurs = parent.typeName.startsWith('gatehouse.');
    if (reason && isOurs && !reasonsOf(`${parent.name}.${name}`).has(reason))
      this.undocumented.push(`${parent.name}.${name}: ${reason}`);
  }

  #collect(message: object): void {
    for (const [name, value] of Object.entries(message)) {
      if (typeof value === 'string' && secretFields.includes(name)) this.keepSecret(value);
      else if (value !== null && typeof value === 'object') this.#collect(value);
    }
  }
}

function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    bytes.toString('hex'),
    bytes.toString('base64'),
    bytes.toString('base64url'),
    encodeURIComponent(secret),
  ];
}

/** Fails when a row refers to a row that is not there, or two rows contradict each other. */
async function requireNoOrphans(database: TestDatabase): Promise<void> {
  const orphans = await database.query(`
    select 'operators row that differs from its user' as what, coalesce(o.user_id, u.id)::text
      from operators o full join (select id, banned_until from users where system_role = 'operator' and deleted_at is null) u
        on u.id = o.user_id
      where o.user_id is null or u.id is null or o.banned_until is distinct from u.banned_until
    union all
    select 'session without user', s.id::text from sessions s left join users u on u.id = s.user_id where u.id is null
    union all
    select 'live session of a deleted user', s.id::text from sessions s join users u on u.id = s.user_id
      where u.deleted_at is not null and s.revoked_at is null and s.expires_at > now() and s.idle_expires_at > now()
    union all
    select 'one-time value without user', t.id::text from one_time_tokens t left join users u on u.id = t.user_id where u.id is null
    union all
    select 'open one-time value of a deleted user', t.id::text from one_time_tokens t join users u on u.id = t.user_id
      where u.deleted_at is not null and t.used_at is null and t.voided_at is null
    union all
    select 'one-time value used and voided', id::text from one_time_tokens where used_at is not null and voided_at is not null
    union all
    select 'mail without its value', m.id::text from mail_outbox m left join one_time_tokens t on t.id = m.token_id
      left join account_invites i on i.id = m.token_id where m.token_id is not null and t.id is null and i.id is null
    union all
    select 'queued mail of a used or voided value', m.id::text from mail_outbox m join one_time_tokens t on t.id = m.token_id
      where m.state = 'queued' and (t.used_at is not null or t.voided_at is not null)
    union all
    select 'queued mail of a used or revoked invitation', m.id::text from mail_outbox m join account_invites i on i.id = m.token_id
      where m.state = 'queued' and (i.used_at is not null or i.revoked_at is not null)
    union all
    select 'mail that was sent and still holds its text', id::text from mail_outbox where state <> 'queued' and sealed is not null
    union all
    select 'queued mail without a text', id::text from mail_outbox where state = 'queued' and sealed is null
    union all
    select 'two users of one address', email_key from users where email_key is not null
      group by project_id, email_key having count(*) > 1
    union all
    select 'user whose key is not an address', id::text from users where email_key not like '%@%'
    union all
    select 'user without an account', id::text from users u where not is_anonymous and email_key is not null
      and deleted_at is null and not exists (select 1 from memberships m where m.user_id = u.id and m.account_id = u.current_account_id)
    union all
    select 'guest or deleted user in an account', m.id::text from memberships m join users u on u.id = m.user_id
      where u.is_anonymous or u.deleted_at is not null
    union all
    select 'account whose owner is not an owner among its members', a.id::text from accounts a where owner_id is not null and not exists (
      select 1 from memberships m where m.account_id = a.id and m.user_id = a.owner_id and m.role = 'owner')
    union all
    select 'account with owners among its members and without an owner', a.id::text from accounts a where owner_id is null and exists (
      select 1 from memberships m where m.account_id = a.id and m.role = 'owner')
    union all
    select 'account without a member', a.id::text from accounts a where owner_id is not null and not exists (
      select 1 from memberships m where m.account_id = a.id)
    union all
    select 'account without a subscription', a.id::text from accounts a where not exists (
      select 1 from subscriptions s where s.account_id = a.id)
    union all
    select 'used invitation without a user who accepted it', id::text from account_invites where (used_at is null) <> (accepted_by is null)
    union all
    select 'used invite code without a user', id::text from invite_codes where (used_at is null) <> (used_by is null)
    union all
    select 'pending invitation of an inviter who may not invite', i.id::text from account_invites i
      where used_at is null and revoked_at is null and inviter_id is not null and not exists (
        select from memberships m where m.account_id = i.account_id and m.user_id = i.inviter_id and m.role in ('owner', 'admin'))
    union all
    select 'referral of oneself', referred_id::text from referrals where referred_id = referrer_id
    union all
    select 'more than one active key', state from signing_keys where state in ('active', 'standby') group by state having count(*) > 1`);
  expect(orphans, 'no orphans').toEqual([]);
}
