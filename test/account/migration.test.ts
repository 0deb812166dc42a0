import { expect, onTestFinished, test } from 'vitest';
import { migrate } from '../../src/database/migrate.ts';
import { openOrm } from '../../src/database/orm.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { ada, asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { startReplica } from '../support/replica.ts';
import { bearer, clientsOver, start, wires } from '../support/start.ts';

const before = 'Migration20261121160000_audit_trail';
const many = 2000;

const idOf = (n: number) => `019a0000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;

/** A database from before the migration that adds accounts. */
async function databaseBeforeAccounts(): Promise<TestDatabase> {
  const database = await createDatabase();
  await database.query('drop schema public cascade');
  await database.query('create schema public');
  const orm = await openOrm(database.url, { poolSize: 2 });
  await orm.migrator.up({ to: before }).finally(() => orm.close(true));
  expect(await database.query(`select to_regclass('accounts') as accounts`)).toEqual([{ accounts: null }]);
  return database;
}

async function migrateNow({ url }: TestDatabase): Promise<void> {
  const orm = await openOrm(url);
  await migrate(orm).finally(() => orm.close(true));
}

/** The columns of an old user, next to the id. A user without an address is a guest or deleted. */
interface OldUser {
  readonly email?: string;
  readonly name?: string;
  readonly passwordHash?: string;
  readonly isAnonymous?: boolean;
  readonly bannedUntil?: string;
  readonly deletedAt?: string;
}

const odd: readonly OldUser[] = [
  { email: 'Ada@Example.org', name: 'Ada Lovelace' },
  { email: 'bob@example.org' },
  { email: 'banned@example.org', name: 'Mallory', bannedUntil: '9999-12-31' },
  { email: `${'l'.repeat(64)}@example.org`, name: 'n'.repeat(200) },
  { email: 'no-password@example.org', name: `O'Hara $$ "quoted"` },
  { name: 'deleted', deletedAt: '2026-01-01' },
  { isAnonymous: true },
  { isAnonymous: true, bannedUntil: '9999-12-31' },
  { isAnonymous: true, deletedAt: '2026-01-01' },
];

async function insertOld({ query }: TestDatabase, users: readonly OldUser[], first = 1): Promise<void> {
  const rows = users.map((each, index) => ({ id: idOf(first + index), ...each }));
  await query(
    `insert into users (id, project_id, email, email_key, name, password_hash, is_anonymous, banned_until, deleted_at,
       app_metadata, user_metadata, created_at, updated_at)
     select id, $1, email, lower(email), coalesce(name, ''), "passwordHash", coalesce("isAnonymous", false), "bannedUntil", "deletedAt",
       '{}', '{}', '2025-06-01', '2025-06-01'
     from jsonb_to_recordset($2) as u (id uuid, email text, name text, "passwordHash" text, "isAnonymous" boolean,
       "bannedUntil" timestamptz, "deletedAt" timestamptz)`,
    [defaultProjectId, JSON.stringify(rows)],
  );
}

test('the migration gives every registered user an account of their own, and none to guests and deleted users', async () => {
  const database = await databaseBeforeAccounts();
  const crowd = Array.from(
    { length: many },
    (_, n): OldUser => (n % 5 ? { email: `p${n}@example.org` } : { isAnonymous: true }),
  );
  await insertOld(database, [...odd, ...crowd]);
  await migrateNow(database);
  const owning = await database.query<{ email: string; account: string; status: string }>(`
    select u.email, a.name as account, s.status
    from users u join accounts a on a.id = u.current_account_id and a.owner_id = u.id and a.project_id = u.project_id
      join memberships m on m.account_id = a.id and m.user_id = u.id and m.role = 'owner' and m.project_id = u.project_id
      join subscriptions s on s.account_id = a.id and s.project_id = u.project_id
    order by u.id`);
  expect(owning.slice(0, 5)).toEqual([
    { email: 'Ada@Example.org', account: "Ada Lovelace's Account", status: 'canceled' },
    { email: 'bob@example.org', account: "bob's Account", status: 'canceled' },
    { email: 'banned@example.org', account: "Mallory's Account", status: 'canceled' },
    { email: `${'l'.repeat(64)}@example.org`, account: `${'n'.repeat(200)}'s Account`, status: 'canceled' },
    { email: 'no-password@example.org', account: `O'Hara $$ "quoted"'s Account`, status: 'canceled' },
  ]);
  expect(owning).toHaveLength(5 + (many * 4) / 5);
  const [counts] = await database.query(`
    select (select count(*)::int from accounts) as accounts, (select count(*)::int from memberships) as memberships,
      (select count(*)::int from subscriptions) as subscriptions, (select count(distinct display_code)::int from accounts) as codes,
      (select count(*)::int from accounts where display_code !~ '^[0-9A-Z]{8}$') as odd_codes,
      (select count(*)::int from users where current_account_id is not null and (is_anonymous or deleted_at is not null)) as strays`);
  const all = owning.length;
  expect(counts).toEqual({ accounts: all, memberships: all, subscriptions: all, codes: all, odd_codes: 0, strays: 0 });
});

test.each(wires)(
  'over %s a user from before the migration signs in, owns the account, and can join another one',
  async (wire) => {
    // A hash as the service computes it.
    const donor = await start();
    await donor.clients('json').admin.createUser(ada, asService);
    const [{ password_hash: passwordHash }] = (await donor.database.query<{ password_hash: string }>(
      'select password_hash from users',
    )) as [{ password_hash: string }];
    const database = await databaseBeforeAccounts();
    await insertOld(database, [
      { email: ada.email, name: 'Ada', passwordHash },
      { email: 'banned@example.org', passwordHash, bannedUntil: '9999-12-31' },
    ]);
    await migrateNow(database);
    const { auth, accounts, admin } = await clientsOf(database, wire);
    const { tokens, account } = await auth.signIn(ada);
    const as = bearer(tokens!);
    expect(account!.account).toMatchObject({ id: idOf(1), name: "Ada's Account", ownerId: idOf(1) });
    expect((await accounts.listMembers({ accountId: idOf(1) }, as)).members).toHaveLength(1);
    expect((await accounts.getUsage({}, as)).usage).toMatchObject({ usage: 0n, subscriptionActive: false });
    const banned = { email: 'banned@example.org', password: ada.password };
    expect((await refusalOf(auth.signIn(banned))).reason).toBe('USER_BANNED');
    await admin.unbanUser({ userId: idOf(2) }, asService);
    expect((await auth.signIn(banned)).account!.account).toMatchObject({ id: idOf(2), name: "banned's Account" });
    const { user } = await auth.register({ email: 'new@example.org', password: ada.password });
    expect(user).toBeDefined();
  },
);

async function clientsOf(database: TestDatabase, wire: (typeof wires)[number]) {
  const { replica, ...json } = await startReplica(database);
  if (wire === 'json') return json;
  const { transport, close } = grpcTransport(`127.0.0.1:${replica.grpcPort}`);
  onTestFinished(close);
  return clientsOver(transport);
}
