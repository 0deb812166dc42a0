import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { accountNameOf, randomDisplayCode } from '../account/account.ts';
import { AuditEvent, auditRow } from '../audit/event.ts';
import { insertRows, rowOf } from '../database/insert.ts';
import { dataFaultOf, faultOf } from '../database/sqlstate.ts';
import { statement } from '../database/statement.ts';
import { transact } from '../database/transaction.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Factor } from '../mfa/factor.ts';
import { RecoveryCode } from '../mfa/recovery-code.ts';
import { WebauthnCredential } from '../mfa/webauthn/credential.ts';
import { Identity } from '../user/identity.ts';
import { User } from '../user/user.ts';
import { type ImportedUser, type RefusedUser, refuseStrangers } from './import-duplicates.ts';
import { providersOf } from './import-line.ts';

/** Arrays of rows, as JSON: users, their audit events, their accounts and what belongs to them. */
interface ImportedRows {
  readonly users: string;
  readonly events: string;
  readonly accounts: string;
  readonly identities: string;
  readonly factors: string;
  readonly credentials: string;
  readonly codes: string;
  readonly plan: string;
  readonly now: Date;
}

/** A user who was created, or an identity that was linked to one. */
interface InsertedRow {
  readonly id: string;
  readonly identity: string | null;
}

// A user whose address or id is taken is not created. Nothing of the user who has it changes. An identity that another user
// has is not linked.
const insertUsers = statement<InsertedRow & Record<string, unknown>, ImportedRows>(
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
   ), linked as (
     ${insertRows(Identity, ':identities', 'created')} where added.user_id = created.id
     on conflict do nothing returning id, user_id
   ), enrolled as (
     ${insertRows(Factor, ':factors', 'created')} where added.user_id = created.id
   ), registered as (
     ${insertRows(WebauthnCredential, ':credentials', 'created')} where added.user_id = created.id
   ), coded as (
     ${insertRows(RecoveryCode, ':codes', 'created')} where added.user_id = created.id
   )
   select id, null::uuid as identity from created union all select user_id, id from linked`,
);

const setProviders = statement<{ id: string }, { ids: readonly string[]; providers: readonly string[] }>(
  'users_import_providers',
  `update users u set providers = named.providers::jsonb from unnest(:ids::uuid[], :providers::text[]) as named (user_id, providers)
   where u.id = named.user_id returning u.id`,
);

const tries = 3;

interface ImportOptions {
  readonly context: Pick<HandlerContext, 'values'>;
  readonly plan: string;
  /** Everything is rolled back. */
  readonly isDryRun?: boolean;
}

/** The users who are neither created nor refused existed already. */
interface Imported {
  readonly created: readonly ImportedUser[];
  readonly refused: readonly RefusedUser[];
  /** Identities of created users that other users have. */
  readonly unlinked: readonly Identity[];
  /** Credentials of created users that other users have, or that were named twice. */
  readonly unregistered: readonly WebauthnCredential[];
}

const uniqueViolation = '23505';

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
    const inserted = await insertTogether(orm, imported, options, now);
    const created = imported.filter(({ user }) => inserted.users.has(user.id));
    const others = imported.filter(({ user }) => !inserted.users.has(user.id));
    const unlinked = created.flatMap((each) => unlinkedOf(each, inserted));
    return { created, refused: await refuseStrangers(orm, others), unlinked, unregistered: [] };
  } catch (error) {
    const fault = dataFaultOf(error);
    if (!fault) throw error;
    const why = `the database does not take it (SQLSTATE ${fault})`;
    const [only, ...more] = imported;
    if (only && more.length === 0 && fault === uniqueViolation && only.credentials.length > 0) {
      const without = await importUsers(orm, [withoutCredentials(only)], options, now);
      return { ...without, unregistered: only.credentials };
    }
    if (more.length === 0) return { created: [], refused: [{ user: only!.user, why }], unlinked: [], unregistered: [] };
    const middle = Math.ceil(imported.length / 2);
    const first = await importUsers(orm, imported.slice(0, middle), options, now);
    const second = await importUsers(orm, imported.slice(middle), options, now);
    return {
      created: [...first.created, ...second.created],
      refused: [...first.refused, ...second.refused],
      unlinked: [...first.unlinked, ...second.unlinked],
      unregistered: [...first.unregistered, ...second.unregistered],
    };
  }
}

/** The user without passkeys and security keys, and without recovery codes if no other factor remains. */
function withoutCredentials(imported: ImportedUser): ImportedUser {
  const apps = imported.factors.filter(({ type }) => type === 'totp');
  const codeFactors = imported.factors.filter(({ type }) => type === 'recovery_code' && apps.length > 0);
  imported.user.factorCount = apps.length;
  const codes = apps.length > 0 ? imported.codes : [];
  return { ...imported, factors: [...apps, ...codeFactors], credentials: [], codes };
}

/** The ids of the created users and of the linked identities. */
interface Inserted {
  readonly users: ReadonlySet<string>;
  readonly identities: ReadonlySet<string>;
}

function unlinkedOf({ identities }: ImportedUser, inserted: Inserted): Identity[] {
  return identities.filter(({ id }) => !inserted.identities.has(id));
}

async function insertTogether(
  orm: MikroORM,
  imported: readonly ImportedUser[],
  { context, plan, isDryRun = false }: ImportOptions,
  now: Date,
): Promise<Inserted> {
  const event = ({ user }: ImportedUser) =>
    auditRow(context as HandlerContext, { action: 'user.import', userId: user.id }, now);
  const rowsOf = (list: (each: ImportedUser) => readonly object[]) =>
    `[${imported.flatMap(list).map(rowOf).join(',')}]`;
  const rows = {
    users: rowsOf(({ user }) => [user]),
    events: `[${imported.map(event).join(',')}]`,
    identities: rowsOf((each) => each.identities),
    factors: rowsOf((each) => each.factors),
    credentials: rowsOf((each) => each.credentials),
    codes: rowsOf((each) => each.codes),
  };
  for (let left = tries; ; left--) {
    try {
      const accounts = JSON.stringify(imported.map(({ user }) => accountFor(user, now)));
      const insertAll = (em: EntityManager) => insert(em, { ...rows, accounts, plan, now }, imported);
      return await (isDryRun ? undoing(orm, insertAll) : transact(orm, insertAll));
    } catch (error) {
      // A display code is taken: others are drawn.
      if (left === 0 || faultOf(error) !== 'unique') throw error;
    }
  }
}

/** Inserts the rows. A provider whose identity belongs to another user is then removed from `users.providers`. */
async function insert(em: EntityManager, rows: ImportedRows, imported: readonly ImportedUser[]): Promise<Inserted> {
  const found = await insertUsers(em, rows);
  const identities = new Set(found.map(({ identity }) => identity).filter((id) => id !== null));
  const users = new Set(found.filter(({ identity }) => identity === null).map(({ id }) => id));
  const inserted = { users, identities };
  const changed = imported.filter((each) => users.has(each.user.id) && unlinkedOf(each, inserted).length > 0);
  if (changed.length > 0) {
    const linked = (each: ImportedUser) => each.identities.filter(({ id }) => identities.has(id));
    const providers = changed.map((each) => JSON.stringify(providersOf(each.user, linked(each))));
    await setProviders(em, { ids: changed.map(({ user }) => user.id), providers });
  }
  return inserted;
}

/** Rolls a transaction back with what it would have inserted. */
class Undone extends Error {
  readonly inserted: Inserted;

  constructor(inserted: Inserted) {
    super('a dry run');
    this.inserted = inserted;
  }
}

async function undoing(orm: MikroORM, insertAll: (em: EntityManager) => Promise<Inserted>): Promise<Inserted> {
  const undo = async (em: EntityManager): Promise<never> => {
    throw new Undone(await insertAll(em));
  };
  return transact(orm, undo).catch((error: unknown) => {
    if (error instanceof Undone) return error.inserted;
    throw error;
  });
}

function accountFor(user: User, now: Date): object {
  return { owner: user.id, membership: uuidv7(now), name: accountNameOf(user), code: randomDisplayCode() };
}
