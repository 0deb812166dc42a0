import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { insertRow, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { cancelMails } from '../mail/mail.ts';
import { Project } from '../project/project.ts';
import { hashOneTimeValue, mintOneTimeValue, type OneTimeKind } from './secret.ts';

const OneTimeTokenTable = defineEntity({
  name: 'OneTimeToken',
  tableName: 'one_time_tokens',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    userId: p.uuid(),
    kind: p.string().length(32).$type<OneTimeKind>(),
    target: p.string().length(320),
    hash: p.blob().hidden(),
    // Of the code in the same mail, if it has one. A replica of the version before knows nothing of them.
    nonceHash: p.blob().hidden().nullable(),
    codeHash: p.blob().hidden().nullable(),
    codeTries: p.smallint().nullable(),
    lifetimeSeconds: p.integer(),
    createdAt: p.datetime(3),
    sentAt: p.datetime(3).nullable(),
    expiresAt: p.datetime(3),
    usedAt: p.datetime(3).nullable(),
    voidedAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'one_time_tokens_hash', properties: ['projectId', 'hash'] }],
  indexes: [
    {
      name: 'one_time_tokens_open',
      properties: ['userId', 'kind'],
      expression:
        'create unique index "one_time_tokens_open" on "one_time_tokens" ("user_id", "kind") where "used_at" is null and "voided_at" is null',
    },
    { name: 'one_time_tokens_expiry', properties: ['expiresAt'] },
  ],
});

/**
 * A value that was sent to an address and does one thing once. Dies when it is used, when a newer one of its kind is
 * issued for the user, when the user's state changes, or in time.
 */
export class OneTimeToken extends OneTimeTokenTable.class {}
OneTimeTokenTable.setClass(OneTimeToken);

/** How long a value lives that nobody has been sent yet. */
const unsentSeconds = 24 * 3600;

/** What of a code is stored beside the value that it stands for. */
export interface CodeHashes {
  readonly nonceHash: Buffer;
  readonly codeHash: Buffer;
}

export interface OneTimeDraft extends Partial<CodeHashes> {
  readonly projectId: string;
  /** Somebody who does not exist is issued nothing. */
  readonly userId: string;
  readonly kind: OneTimeKind;
  /** The address, as emailKey spells it, that the value proves. */
  readonly target: string;
  /** Seconds from the first mail that takes it to them. */
  readonly lifetime: number;
}

export interface Issued {
  /** Of the row, whether or not there is one. */
  readonly id: string;
  /** The only copy. */
  readonly raw: string;
}

// Two at once: the index lets one of them in, and the other is not issued.
const insertToken = statement<{ id: string }>(
  'one_time_issue',
  `with holder as (select id from users where id = $1 and deleted_at is null),
   voided as (
     update one_time_tokens set voided_at = $2
     where user_id = $1 and kind = $3 and used_at is null and voided_at is null returning id
   ), cancelled as (${cancelMails('voided', '$2')})
   ${insertRow(OneTimeToken, '$4', 'holder, (select count(*) from voided) v, (select count(*) from cancelled) c')}
   on conflict do nothing returning id`,
);

/**
 * Makes a value and voids the older ones of its kind.
 *
 * For somebody who does not exist it costs the same and issues nothing; nor does it for the later of two calls at the
 * same moment. A mail with its id is then not sent either.
 */
export async function issue(em: EntityManager, draft: OneTimeDraft, now: Date): Promise<Issued> {
  const raw = mintOneTimeValue();
  const { lifetime, ...rest } = draft;
  const token = Object.assign(new OneTimeToken(), rest, {
    id: uuidv7(now),
    hash: hashOneTimeValue(draft.projectId, draft.kind, raw)!,
    lifetimeSeconds: lifetime,
    createdAt: now,
    expiresAt: new Date(now.getTime() + unsentSeconds * 1000),
  });
  await insertToken(em, [draft.userId, now, draft.kind, rowOf(token)]);
  return { id: token.id, raw };
}

/** Whose value it was, and which address it proves. */
export interface Consumed {
  readonly user_id: string;
  readonly target: string;
}

/**
 * Whether the value `t` of the user `u` is good, for statements that have its project, its kind and the time as named. An
 * address that is not the user's any more is proved to no purpose; which one a change leads to its own code asks.
 */
export const isOpen = (project: string, kind: string, now: string) =>
  `t.project_id = ${project} and t.kind = ${kind}
     and t.used_at is null and t.voided_at is null and t.expires_at > ${now} and u.id = t.user_id and u.deleted_at is null
     and (u.banned_until is null or u.banned_until <= ${now}) and (t.kind = 'email_change' or u.email_key = t.target)`;

const use = statement<Consumed>(
  'one_time_consume',
  `with used as (
     update one_time_tokens t set used_at = $2 from users u
     where t.hash = $3 and ${isOpen('$1', '$4', '$2')} and ($5::uuid is null or t.user_id = $5) returning t.id, t.user_id, t.target
   ), cancelled as (${cancelMails('used', '$2')})
   select user_id, target from used`,
);

/** A value, or the hash of the one that a code stands for. */
export type Presented = { readonly raw: string } | { readonly hash: Buffer };

/**
 * Uses a value up: of any number of calls with it one gets an answer. Undefined when it is used, void, expired, of
 * another kind or another project, of somebody else than `userId`, or of nobody.
 */
export async function consume(
  em: EntityManager,
  kind: OneTimeKind,
  { projectId, userId, ...value }: { projectId: string; userId?: string | undefined } & Presented,
  now: Date,
): Promise<Consumed | undefined> {
  const hash = 'hash' in value ? value.hash : hashOneTimeValue(projectId, kind, value.raw);
  if (!hash) return undefined;
  const [row] = await use(em, [projectId, now, hash, kind, userId ?? null]);
  return row;
}

export interface Seen extends Consumed {
  readonly is_good: boolean;
  readonly email: string | null;
  readonly name: string;
}

const see = statement<Seen>(
  'one_time_look',
  `select t.user_id, t.target, u.email, u.name, ${isOpen('$1', '$4', '$2')} as is_good
   from one_time_tokens t join users u on u.id = t.user_id where t.project_id = $1 and t.hash = $3`,
);

/** What there is to say of a value without using it. Undefined for one that was never issued, or is of another kind. */
export async function look(
  autocommit: Autocommit,
  kind: OneTimeKind,
  { projectId, raw }: { projectId: string; raw: string },
  now: Date,
): Promise<Seen | undefined> {
  const hash = hashOneTimeValue(projectId, kind, raw);
  if (!hash) return undefined;
  const [row] = await see(autocommit, [projectId, now, hash, kind]);
  return row;
}

const voidOpen = statement<{ id: string }>(
  'one_time_void',
  `with voided as (
     update one_time_tokens set voided_at = $2
     where user_id = $1 and used_at is null and voided_at is null and ($3::text[] is null or kind = any($3)) returning id
   ), cancelled as (${cancelMails('voided', '$2')})
   select id from voided`,
);

/** Voids the open values of a user, of all kinds or those named. */
export async function voidFor(
  em: EntityManager,
  userId: string,
  now: Date,
  kinds?: readonly OneTimeKind[],
): Promise<void> {
  await voidOpen(em, [userId, now, kinds ?? null]);
}
