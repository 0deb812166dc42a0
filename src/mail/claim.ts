import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { domainOf } from './mail.ts';
import type { MailKind } from './mail-messages.ts';

/** A mail that a dispatcher has leased, to send it. */
export interface Claimed {
  readonly id: string;
  readonly user_id: string | null;
  readonly kind: MailKind;
  readonly recipient: string;
  readonly domain: string;
  readonly locale: string;
  readonly sealed: Buffer;
  /** Including the one that begins now. */
  readonly attempts: number;
  /** Of the former attempts, those after which the server may have accepted the mail. */
  readonly doubts: number;
  readonly created_at: Date;
}

export interface Claiming {
  readonly now: Date;
  readonly leasedUntil: Date;
  /** The highest number of mails to claim. */
  readonly limit: number;
  /** How many mails to claim for these domains, and for each other one. */
  readonly domains: readonly string[];
  readonly rooms: readonly number[];
  readonly room: number;
}

/**
 * SQL that is true for a mail whose one-time value or invitation has been neither used nor revoked, and has not expired. The
 * state of the user does not matter here. One CASE per mail, because for an EXISTS the planner would hash all valid values
 * for every batch.
 */
const isStillWanted = (mail: string) =>
  `case when ${mail}.token_id is null then true
     when ${mail}.kind = 'account_invite' then coalesce((
       select i.used_at is null and i.revoked_at is null and i.expires_at > :now
       from account_invites i where i.id = ${mail}.token_id), false)
     else coalesce((
       select t.used_at is null and t.voided_at is null and t.expires_at > :now
       from one_time_tokens t where t.user_id = ${mail}.user_id and t.id = ${mail}.token_id), false) end`;

/** Mails that one statement examines, whatever the length of the queue. */
const examinedAtMost = 50;
/** Domains that one statement looks at, and mails of each. */
const domainsAtMost = 30;
const ofEachDomain = 4;

const carried = [
  'id',
  'user_id',
  'kind',
  'recipient',
  'locale',
  'sealed',
  'attempts',
  'doubts',
  'created_at',
  'due_at',
];

const examinedColumns = `${carried.map((each) => `o.${each}`).join(', ')}, ${domainOf('o')} as domain,
       ${isStillWanted('o')} as is_wanted, exists (
         select 1 from mail_outbox e where e.recipient = o.recipient and e.state = 'queued' and e.id < o.id) as is_blocked`;

const isDue = `o.state = 'queued' and o.due_at <= :now`;

// Ordered, so that it is read from the index: with EXISTS, the planner reads the table from its beginning, where the mails
// are that were sent already.
const ofFirst = (value: string) =>
  `(select ${value} from mail_outbox o where o.state = 'queued' order by o.due_at limit 1)`;

/** SQL: whether a claim would find mails, and whether there are any that are not sent yet. */
export const hasDueMail = `coalesce(${ofFirst('o.due_at <= :now')}, false)`;
export const hasQueuedMail = `${ofFirst('true')} is not null`;

const room = `room as (
     select r.domain, r.room from unnest(:domains::text[], :rooms::int[]) as r (domain, room)
   )`;

// Only the oldest queued mail of an address is sent, so that mails arrive in order. A later one is examined again when the
// older one has ended, or after half of its age: rows that cannot be sent must not stay at the head of the queue.
const decide = `ranked as (
     select s.id, s.due_at, s.is_wanted, s.is_blocked, coalesce(r.room, :room::int) >= row_number() over (
       partition by s.domain, s.is_wanted and not s.is_blocked order by s.due_at, s.id) as fits
     from seen s left join room r on r.domain = s.domain
   ), fates as materialized (
     select r.id, case
       when not r.is_wanted then 'cancelled'
       when r.is_blocked then 'blocked'
       when r.fits and :limit::int >= row_number() over (
         partition by r.is_wanted and not r.is_blocked and r.fits order by r.due_at, r.id) then 'claimed'
       else 'held back' end as fate
     from ranked r
   ), moved as (
     update mail_outbox m set
       state = case f.fate when 'cancelled' then 'cancelled' else 'queued' end,
       ended_at = case f.fate when 'cancelled' then :now::timestamptz end,
       sealed = case f.fate when 'cancelled' then null else m.sealed end,
       attempts = m.attempts + (f.fate = 'claimed')::int,
       due_at = case f.fate when 'claimed' then :leasedUntil
         when 'blocked' then :now::timestamptz + least(interval '5 minutes',
           greatest(interval '1 second', (:now::timestamptz - m.created_at) / 2))
         else m.due_at end
     from fates f where m.id = any(array(select each.id from fates each)) and m.id = f.id and f.fate <> 'held back' returning m.id
   )`;

const claimedColumns = `f.fate, s.id, s.user_id, s.kind, s.recipient, s.domain, s.locale,
     case f.fate when 'claimed' then s.sealed end as sealed, s.attempts + 1 as attempts, s.doubts, s.created_at`;

type Fate = 'claimed' | 'cancelled' | 'blocked' | 'held back';
type Examined = Claimed & { readonly fate: Fate };

const claimFirst = statement<Examined, Claiming>(
  'mail_claim',
  `with ${room}, seen as materialized (
     select ${examinedColumns} from mail_outbox o where ${isDue}
     order by o.due_at limit ${examinedAtMost} for update of o skip locked
   ), ${decide}
   select ${claimedColumns} from fates f join seen s on s.id = f.id`,
  { isByIndex: true },
);

// Goes from domain to domain by the index: each costs one look, however many mails it has.
const claimByDomain = statement<
  { reached: string | null } & (Examined | { id: null; fate: null }),
  Claiming & { after: string }
>(
  'mail_claim_by_domain',
  `with recursive ${room}, walk (domain, step) as (
     select (select ${domainOf('o')} from mail_outbox o
       where o.state = 'queued' and ${domainOf('o')} > :after order by ${domainOf('o')} limit 1), 1
     union all
     select (select ${domainOf('o')} from mail_outbox o
       where o.state = 'queued' and ${domainOf('o')} > w.domain order by ${domainOf('o')} limit 1), w.step + 1
     from walk w where w.domain is not null and w.step < ${domainsAtMost}
   ), seen as materialized (
     select ${[...carried, 'domain', 'is_wanted', 'is_blocked'].map((each) => `s.${each}`).join(', ')}
     from walk w left join room r on r.domain = w.domain cross join lateral (
       select ${examinedColumns} from mail_outbox o where ${isDue} and ${domainOf('o')} = w.domain
       order by o.due_at limit ${ofEachDomain} for update of o skip locked) s
     where coalesce(r.room, :room::int) > 0
   ), ${decide}
   select (select w.domain from walk w where w.step = ${domainsAtMost}) as reached, ${claimedColumns}
   from (select 1) one left join (fates f join seen s on s.id = f.id) on true`,
  { isByIndex: true },
);

export interface Claims {
  readonly claimed: readonly Claimed[];
  readonly examined: number;
  readonly cancelled: number;
  /** Due mails that were left, because there is no room for them. */
  readonly heldBack: number;
  /** Whether there may be further due mails behind those that were examined. */
  readonly isPartial: boolean;
}

/** Leases the mails that are due first, and cancels those of them whose value has expired. */
export async function claimDue(autocommit: Autocommit, claiming: Claiming): Promise<Claims> {
  const rows = await claimFirst(autocommit, claiming);
  return { ...sorted(rows), isPartial: rows.length === examinedAtMost };
}

/**
 * The same for the next domains after `after`, in alphabetical order: when all mails that are due first have to wait for
 * their domain. `reached` is where to go on, empty after the last domain.
 */
export async function claimBeyond(autocommit: Autocommit, claiming: Claiming, after: string) {
  const rows = await claimByDomain(autocommit, { ...claiming, after });
  const examined = rows.filter((row): row is Examined & { reached: string | null } => row.id !== null);
  return { ...sorted(examined), reached: rows[0]?.reached ?? '' };
}

function sorted(rows: readonly Examined[]) {
  const claimed = rows.filter(({ fate }) => fate === 'claimed');
  const count = (wanted: Fate) => rows.filter(({ fate }) => fate === wanted).length;
  return { claimed, examined: rows.length, cancelled: count('cancelled'), heldBack: count('held back') };
}
