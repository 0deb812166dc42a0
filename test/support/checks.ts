import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { expect } from 'vitest';
import type { TestDatabase } from './database.ts';
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
];
// What only the inside of a service knows: SQL, files, libraries.
const innards =
  /\b(select|insert|update|delete)\b .*\b(from|into|set)\b|\.ts\b|node_modules|mikro|kysely|postgres|\bpg_|\bat .*:\d+:\d+/i;

// An address, an id, where somebody calls from.
const personal = /@|[0-9a-f]{8}-[0-9a-f]{4}-|\d+\.\d+\.\d+\.\d+/;

/**
 * Sees every call of a test and keeps what must be true after each of them: checks G1, G2, G3 (the log), G5, G7 and G9 of
 * the security contract.
 */
export class Ledger {
  readonly errors: ConnectError[] = [];
  readonly lines: string[] = [];
  /** What the replicas told Prometheus in the end. */
  readonly metrics: string[] = [];
  readonly #secrets = new Set<string>();

  log(line: string): void {
    this.lines.push(line);
  }

  /** Names a value that must stand in no row and no line. */
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
        this.errors.push(ConnectError.from(thrown));
        throw thrown;
      }
    };
  }

  async check(
    database: TestDatabase,
    health: { check(request: object): Promise<unknown> } | undefined,
    skip: readonly string[],
  ): Promise<void> {
    const unexplained = this.errors.filter((each) => [Code.Internal, Code.Unknown].includes(each.code));
    expect(unexplained, 'G1: no input yields internal or unknown').toEqual([]);
    expect(
      this.errors.filter((each) => each.code !== Code.Canceled && !reasonOf(each) && each.code !== Code.NotFound),
      'every error has a reason',
    ).toEqual([]);
    if (!skip.includes('G2'))
      expect(
        this.errors.filter((each) => innards.test(each.rawMessage)),
        'G2: errors tell nothing',
      ).toEqual([]);
    if (!skip.includes('G5') && health) await this.#isUp(health);
    if (!skip.includes('G7')) await this.#keptSecrets(database);
    if (!skip.includes('G9')) await sweep(database);
  }

  async #isUp(health: { check(request: object): Promise<unknown> }): Promise<void> {
    expect(await health.check({}).catch((error: unknown) => error), 'G5: the process is up').not.toBeInstanceOf(Error);
  }

  async #keptSecrets(database: TestDatabase): Promise<void> {
    const dump = await database.dump();
    const log = this.lines.join('');
    const metrics = this.metrics.join('');
    expect(metrics, 'LOG-02: metrics tell of no person').not.toMatch(personal);
    for (const secret of this.#secrets)
      for (const spelling of spellings(secret)) {
        expect(dump.includes(spelling), `G7: a dump holds ${secret}`).toBe(false);
        expect(log.includes(spelling), `G3: the log holds ${secret}`).toBe(false);
        expect(metrics.includes(spelling), `G3: the metrics hold ${secret}`).toBe(false);
      }
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

/** G9: what refers to something refers to something that is there. */
async function sweep(database: TestDatabase): Promise<void> {
  const orphans = await database.query(`
    select 'session without user' as what, s.id::text from sessions s left join users u on u.id = s.user_id where u.id is null
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
    select 'mail that waits for a dead value', m.id::text from mail_outbox m join one_time_tokens t on t.id = m.token_id
      where m.state = 'queued' and (t.used_at is not null or t.voided_at is not null)
    union all
    select 'mail that waits for a dead invitation', m.id::text from mail_outbox m join account_invites i on i.id = m.token_id
      where m.state = 'queued' and (i.used_at is not null or i.revoked_at is not null)
    union all
    select 'mail that has left and still says what it said', id::text from mail_outbox where state <> 'queued' and sealed is not null
    union all
    select 'mail that waits and says nothing', id::text from mail_outbox where state = 'queued' and sealed is null
    union all
    select 'two users of one address', email_key from users where email_key is not null
      group by project_id, email_key having count(*) > 1
    union all
    select 'user without an account', id::text from users u where not is_anonymous and email_key is not null
      and deleted_at is null and not exists (select from memberships m where m.user_id = u.id and m.account_id = u.current_account_id)
    union all
    select 'guest or deleted user in an account', m.id::text from memberships m join users u on u.id = m.user_id
      where u.is_anonymous or u.deleted_at is not null
    union all
    select 'account of an owner who is none', a.id::text from accounts a where owner_id is not null and not exists (
      select from memberships m where m.account_id = a.id and m.user_id = a.owner_id and m.role = 'owner')
    union all
    select 'account with owners, none of whom answers for it', a.id::text from accounts a where owner_id is null and exists (
      select from memberships m where m.account_id = a.id and m.role = 'owner')
    union all
    select 'account nobody was ever in', a.id::text from accounts a where owner_id is not null and not exists (
      select from memberships m where m.account_id = a.id)
    union all
    select 'account without a subscription', a.id::text from accounts a where not exists (
      select from subscriptions s where s.account_id = a.id)
    union all
    select 'used invitation that nobody accepted', id::text from account_invites where (used_at is null) <> (accepted_by is null)
    union all
    select 'used code that nobody used', id::text from invite_codes where (used_at is null) <> (used_by is null)
    union all
    select 'pending invitation of who may not invite', i.id::text from account_invites i
      where used_at is null and revoked_at is null and inviter_id is not null and not exists (
        select from memberships m where m.account_id = i.account_id and m.user_id = i.inviter_id and m.role in ('owner', 'admin'))
    union all
    select 'referral of oneself', referred_id::text from referrals where referred_id = referrer_id
    union all
    select 'more than one active key', state from signing_keys where state in ('active', 'standby') group by state having count(*) > 1`);
  expect(orphans, 'G9: no orphans').toEqual([]);
}
