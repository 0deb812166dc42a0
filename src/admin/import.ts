import type { JsonObject } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { z } from 'zod';
import { accountNameOf, randomDisplayCode } from '../account/account.ts';
import { AuditEvent, auditRow } from '../audit/event.ts';
import { nobody } from '../auth/user-mail.ts';
import { Autocommit } from '../database/autocommit.ts';
import { insertRows, rowOf } from '../database/insert.ts';
import { dataFaultOf, faultOf } from '../database/sqlstate.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { readAddress } from '../text/email-address.ts';
import { trimMarks, unseen } from '../text/invisible-characters.ts';
import { markImported, readImported } from '../user/imported-hash.ts';
import { mergeMetadata, noMetadata } from '../user/metadata.ts';
import { User } from '../user/user.ts';
import { type ImportedUser, type RefusedUser, refuseStrangers } from './import-duplicates.ts';

const text = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^\P{Cc}*$/u, 'holds control characters')
    .refine((value) => value.isWellFormed(), 'holds a lone surrogate')
    .refine((value) => !unseen.test(value), 'holds characters that nobody sees');
// Not copied: a copy would lack the keys that mergeMetadata refuses.
const metadata = z.custom<JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'not an object',
);

// Null means that the field is absent: exports write it for what they do not know.
const line = z.strictObject({
  // Other systems make ids whose version and variant no RFC defines.
  id: z
    .guid()
    .refine((id) => id !== nobody, 'the nil UUID')
    .nullish(),
  email: z.string().transform(readAddress).pipe(z.string('Invalid email address')),
  name: z.string().transform(trimMarks).pipe(text(200)).nullish(),
  email_verified: z.boolean().nullish(),
  password_hash: z.string().max(1024).nullish(),
  created_at: z.iso.datetime({ offset: true }).nullish(),
  phone: text(32).nullish(),
  locale: text(35).nullish(),
  timezone: text(64).nullish(),
  app_metadata: metadata.nullish(),
  user_metadata: metadata.nullish(),
});

/** Arrays of rows, as JSON: users, their audit events and their accounts. */
interface ImportedRows {
  readonly users: string;
  readonly events: string;
  readonly accounts: string;
  readonly plan: string;
  readonly now: Date;
}

// A user whose address or id is taken is not created. Nothing of the user who has it changes.
const insertUsers = statement<{ id: string }, ImportedRows>(
  'users_import',
  `with created as (
     ${insertRows(User, ':users')} on conflict do nothing
     returning id, project_id, current_account_id, created_at
   ), opened as (
     insert into accounts (id, project_id, name, display_code, owner_id, created_at, updated_at)
     select c.current_account_id, c.project_id, a.name, a.code, c.id, :now, :now
     from created c join jsonb_to_recordset(:accounts) a (owner uuid, membership uuid, name text, code text) on a.owner = c.id
     returning id, project_id, owner_id
   ), joined as (
     insert into memberships (id, project_id, account_id, user_id, role, joined_by, created_at)
     select a.membership, o.project_id, o.id, o.owner_id, 'owner', 'opened', :now
     from opened o join jsonb_to_recordset(:accounts) a (owner uuid, membership uuid) on a.owner = o.owner_id
   ), subscribed as (
     insert into subscriptions (account_id, project_id, plan, status, created_at, updated_at)
     select id, project_id, :plan, 'canceled', :now, :now from opened
   ), noted as (
     ${insertRows(AuditEvent, ':events', 'created')} where added.user_id = created.id
   )
   select id from created`,
);

const tries = 3;
const dayMs = 86_400_000;

/** Reads a line of an import: JSON of one user. Returns why a line is invalid, in words without values. */
export function readImportLine(json: string, projectId: string, now: Date): ImportedUser | { readonly why: string } {
  try {
    return toUser(line.parse(JSON.parse(json)), projectId, now);
  } catch (error) {
    if (error instanceof z.ZodError) return { why: error.issues.map(describeIssue).join('; ') };
    if (error instanceof SyntaxError) return { why: 'not JSON' };
    if (error instanceof Refusal)
      return { why: error.options.fields!.map(({ field, description }) => `${field} ${description}`).join('; ') };
    throw error;
  }
}

interface ImportOptions {
  readonly context: Pick<HandlerContext, 'values'>;
  readonly plan: string;
}

/** The users who are neither created nor refused existed already. */
interface Imported {
  readonly created: number;
  readonly refused: readonly RefusedUser[];
}

/**
 * Creates the users who do not exist yet, each as the owner of an account without a trial, in one statement with their
 * audit events. When the database refuses a value of one of them, both halves of the users are tried again. A user whose
 * id or address another user has is refused.
 */
export async function importUsers(
  orm: MikroORM,
  imported: readonly ImportedUser[],
  options: ImportOptions,
  now: Date,
): Promise<Imported> {
  try {
    const users = imported.map(({ user }) => user);
    const created = await insertTogether(orm, users, options, now);
    const others = imported.filter(({ user }) => !created.has(user.id));
    return { created: created.size, refused: await refuseStrangers(orm, others) };
  } catch (error) {
    const fault = dataFaultOf(error);
    if (!fault) throw error;
    const why = `the database does not take it (SQLSTATE ${fault})`;
    if (imported.length === 1) return { created: 0, refused: [{ user: imported[0]!.user, why }] };
    const middle = Math.ceil(imported.length / 2);
    const first = await importUsers(orm, imported.slice(0, middle), options, now);
    const second = await importUsers(orm, imported.slice(middle), options, now);
    return { created: first.created + second.created, refused: [...first.refused, ...second.refused] };
  }
}

/** Returns the ids of the created users. */
async function insertTogether(
  orm: MikroORM,
  users: readonly User[],
  { context, plan }: ImportOptions,
  now: Date,
): Promise<ReadonlySet<string>> {
  const event = ({ id }: User) => auditRow(context as HandlerContext, { action: 'user.import', userId: id }, now);
  const [rows, events] = [users.map(rowOf), users.map(event)].map((each) => `[${each.join(',')}]`);
  for (let left = tries; ; left--) {
    try {
      const accounts = JSON.stringify(users.map((each) => accountFor(each, now)));
      const values = { users: rows!, events: events!, accounts, plan, now };
      return new Set((await insertUsers(new Autocommit(orm), values)).map(({ id }) => id));
    } catch (error) {
      // A display code is taken: others are drawn.
      if (left === 0 || faultOf(error) !== 'unique') throw error;
    }
  }
}

function accountFor(user: User, now: Date): object {
  return { owner: user.id, membership: uuidv7(now), name: accountNameOf(user), code: randomDisplayCode() };
}

function toUser(read: z.output<typeof line>, projectId: string, now: Date): ImportedUser | { why: string } {
  const createdAt = read.created_at ? new Date(read.created_at) : now;
  // Months of usage are counted from this time, and a protobuf Timestamp ends with the year 9999.
  if (!(createdAt.getTime() >= 0 && createdAt.getTime() <= now.getTime() + dayMs))
    return { why: 'created_at: not between 1970 and now' };
  const hash = read.password_hash || null;
  const taken = hash ? readImported(hash) : undefined;
  if (taken && 'why' in taken) return { why: `password_hash: ${taken.why}` };
  const { email, name, email_verified: emailVerified } = read;
  const registration = {
    projectId,
    email,
    name: name ?? '',
    emailVerified: emailVerified ?? false,
    passwordHash: hash && markImported(hash),
  };
  const user = Object.assign(User.register(registration, now), {
    ...(read.id && { id: read.id.toLowerCase() }),
    currentAccountId: uuidv7(now),
    createdAt,
    phone: read.phone ?? '',
    locale: read.locale ?? '',
    timezone: read.timezone ?? '',
    ...metadataOf(read),
  });
  return { user, hasOwnId: read.id != null };
}

function metadataOf({ app_metadata: app, user_metadata: own }: z.output<typeof line>) {
  return mergeMetadata(noMetadata, { appMetadata: app ?? undefined, userMetadata: own ?? undefined });
}

// Zod's own sentences contain no value, but the names of unknown keys.
function describeIssue({ path, message }: { path: PropertyKey[]; message: string }): string {
  return path.length > 0 ? `${path.join('.')}: ${message}` : message;
}
