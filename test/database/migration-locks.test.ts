import { expect, onTestFinished, test } from 'vitest';
import type { PendingMigration } from '../../src/database/concurrent-run.ts';
import { statementsOf } from '../../src/database/migrate.ts';
import { openOrm } from '../../src/database/orm.ts';
import { createDatabase } from '../support/database.ts';

/** Tables that stay small however many users there are. */
const small = new Set([
  'database_outages',
  'hash_shares',
  'heartbeat',
  'installation',
  'leases',
  'projects',
  'project_settings',
  'signing_keys',
]);

/**
 * Migrations that databases in use had run before this test existed: a change would reach none of those, and a new database
 * has no rows when it runs them. The value is what they do to a database with many rows that has not run them yet.
 */
const ran: Readonly<Record<string, string>> = {
  '20261121160000_audit_trail': 'copies all events while their table is locked',
  '20261121160820_accounts': 'creates an account for each user in one transaction',
  '20261121161000_operators': 'builds two indexes of users',
  '20261121182500_sessions_of_user': 'builds an index of sessions',
  '20261122014403_sessions_of_impersonator': 'builds an index of sessions in which operators act for others',
  '20261129010100_operators_of_project': 'reads all users to find the few operators',
  '20261129010200_one_time_values_of_user': 'builds an index of values that are kept for a week',
  '20261129010300_mails_of_user': 'writes mails that are kept for a week',
  '20261129030200_session_epoch': 'writes the sessions that were opened after everybody was signed out',
  '20261129040200_sessions_of_user_by_id': 'builds an index of sessions again',
  '20261129060000_first_proof': 'writes all memberships',
  '20261129070100_listed_users': 'builds six indexes of users',
  '20261129090000_sweeps': 'builds indexes of guests, invitations and invite codes',
  '20261130090100_order_of_billing_events': 'writes the subscriptions with a billing event',
  '20261130090200_durable_rate_limits': 'moves counters that are kept for an hour, so that no limit begins anew',
  '20261130120100_audit_seal_version': 'queues all events while their table is locked',
};

const read = 'all rows are read while the table is locked';
const written = 'the table is written anew';

/** The reasons to refuse a migration, statement by statement. */
class Judgement {
  readonly faults: string[] = [];
  readonly #isConcurrent: boolean;
  readonly #created = new Set<string>();
  readonly #checked: Map<string, string>;

  /** `checked` has the columns that checks of earlier migrations keep from being null, by the names of the checks. */
  constructor(isConcurrent: boolean, checked: Map<string, string>) {
    this.#isConcurrent = isConcurrent;
    this.#checked = checked;
  }

  judge(sql: string): void {
    const text = sql.toLowerCase().replaceAll('"', '').replace(/\s+/g, ' ').replace(/;\s*$/, '').trim();
    const created = /^create (?:unlogged )?table (?:if not exists )?(\w+)/.exec(text)?.[1];
    if (created) this.#created.add(created);
    const [, altered, actions = ''] = /^alter table (?:if exists )?(?:only )?(\w+) (.*)$/.exec(text) ?? [];
    const faults = this.#isLarge(altered)
      ? actionsOf(actions).map((action) => this.#faultOfAction(altered!, action))
      : [this.#faultOfIndex(text), this.#faultOfRows(text), faultOfCommand(text)];
    for (const fault of faults) if (fault) this.faults.push(`${fault}: ${text}`);
  }

  #isLarge(table: string | undefined): boolean {
    return table !== undefined && !small.has(table) && !this.#created.has(table);
  }

  #faultOfIndex(text: string): string | undefined {
    const [, concurrently, ifNotExists, table] =
      /^create (?:unique )?index (concurrently )?(if not exists )?(?:\w+ )?on (?:only )?(\w+)/.exec(text) ?? [];
    if (!this.#isLarge(table)) return undefined;
    if (!concurrently) return 'writes wait until the index is built';
    if (!this.#isConcurrent) return 'the migration must be a ConcurrentMigration';
    return ifNotExists ? undefined : 'it fails when it runs a second time';
  }

  #faultOfRows(text: string): string | undefined {
    const changed =
      /^(?:with .*)?(?:update|delete from) (?:only )?(\w+)|^merge into (\w+)|^insert into .* select .* from (\w+)/.exec(
        text,
      );
    const isLong = this.#isLarge(changed?.slice(1).find(Boolean)) && !this.#isConcurrent;
    return isLong ? 'its row locks are held until all rows are changed' : undefined;
  }

  #faultOfAction(table: string, action: string): string | undefined {
    this.#noteCheck(table, action);
    if (/^validate constraint/.test(action))
      return this.#isConcurrent ? undefined : 'all rows are read in a transaction';
    if (/^add (?:constraint|foreign key|check|unique|primary key|exclude)/.test(action))
      return /using index|not valid/.test(action) ? undefined : read;
    if (/^add /.test(action)) return faultOfColumn(action);
    const column = /^alter (?:column )?(\w+) set not null/.exec(action)?.[1];
    if (column) return this.#checked.get(`${table}.${column}`) === 'valid' ? undefined : read;
    if (/^alter (?:column )?\w+ (?:(?:set data )?type|add generated)/.test(action)) return written;
    if (/^set (?:logged|unlogged|tablespace|access method)/.test(action)) return written;
    return /^(?:attach partition|detach partition (?!.*concurrently))/.test(action) ? read : undefined;
  }

  /** A check that is valid spares SET NOT NULL the look at all rows. */
  #noteCheck(table: string, action: string): void {
    const [, name, column] = /^add constraint (\w+) check \(+(\w+) is not null\)+ not valid/.exec(action) ?? [];
    if (name) this.#checked.set(`${table}.${name}`, `${table}.${column}`);
    const valid = /^validate constraint (\w+)/.exec(action)?.[1];
    const of = valid && this.#checked.get(`${table}.${valid}`);
    if (of) this.#checked.set(of, 'valid');
  }
}

function faultOfCommand(text: string): string | undefined {
  if (/^(?:do|call) /.test(text)) return 'a block cannot be judged';
  const locks =
    /^(?:vacuum full|cluster|lock|truncate|reindex (?!.*concurrently)|refresh materialized view (?!concurrently))/;
  return locks.test(text) ? 'the table is locked' : undefined;
}

/** Constants and the time of the transaction are stored once for all rows. */
const constant = /^(?:null|true|false|-?[\d.]+|'[^']*'(?:::\w+)?|now\(\)|current_timestamp(?:\(\d\))?)(?: |$)/;

function faultOfColumn(action: string): string | undefined {
  const value = / default (.*)$/.exec(action)?.[1];
  if (/ generated | (?:small|big)?serial\b/.test(action) || (value && !constant.test(value))) return written;
  if (/ not null/.test(action) && !value) return 'it fails when there are rows';
  return / (?:references|unique|primary key|check)\b/.test(action.replace(/'[^']*'/g, '')) ? read : undefined;
}

/** The parts between commas outside of parentheses. */
function actionsOf(text: string): string[] {
  let depth = 0;
  const parts = [''];
  for (const each of text) {
    depth += each === '(' ? 1 : each === ')' ? -1 : 0;
    if (each === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += each;
  }
  return parts.map((each) => each.trim());
}

function faultsOf(all: readonly Omit<PendingMigration, 'name'>[]): string[][] {
  const checked = new Map<string, string>();
  return all.map(({ statements, isConcurrent }) => {
    const judgement = new Judgement(isConcurrent, checked);
    for (const sql of statements) judgement.judge(sql);
    return judgement.faults;
  });
}

test('no new migration locks a large table for long', async () => {
  const { url } = await createDatabase();
  const orm = await openOrm(url);
  onTestFinished(() => orm.close(true));
  const all = await statementsOf(orm, new Set());
  const faults = faultsOf(all);
  const faulty = all.flatMap(({ name }, n) => (faults[n]!.length > 0 ? [name.replace('Migration', '')] : []));
  const news = all.flatMap(({ name }, n) =>
    name.replace('Migration', '') in ran ? [] : faults[n]!.map((fault) => `${name}: ${fault}`),
  );
  expect(news).toEqual([]);
  expect(faulty, 'no exception is superfluous').toEqual(Object.keys(ran));
});

const refused = [
  'create index "a" on "users" ("name")',
  'create unique index "a" on only "users" ("name")',
  'CREATE INDEX ON users (name)',
  'create index concurrently if not exists "a" on "users" ("name")',
  'alter table "users" add constraint "a" foreign key ("b") references "c" ("id")',
  'alter table "users" add constraint "a" check ("b" > 0)',
  'alter table "users" add constraint "a" unique ("b")',
  'alter table "users" add check ("b" > 0)',
  'alter table "users" add column "b" int null, add foreign key ("b") references "c" ("id")',
  'alter table if exists only "users" alter column "name" type text',
  'alter table "users" alter "name" set data type text using lower("name")',
  'alter table "users" alter column "name" set not null',
  'alter table "users" add "b" uuid not null default gen_random_uuid()',
  `alter table "users" add "b" timestamptz default clock_timestamp()`,
  `alter table "users" add "b" bigserial`,
  `alter table "users" add "b" int generated always as (1) stored`,
  'alter table "users" add "b" int not null',
  'alter table "users" add "b" uuid null references "c" ("id")',
  'alter table "users" validate constraint "a"',
  'alter table "users" set unlogged',
  'update "users" set "name" = lower("name")',
  'with a as (select 1) update "users" set "name" = lower("name")',
  'delete from "sessions"',
  'insert into "audit_unsealed" ("id") select "id" from "audit_events"',
  'do $$ begin update users set name = 1; end $$',
  'lock table "users"',
  'truncate "sessions"',
  'vacuum full sessions',
  'reindex table sessions',
];

const accepted = [
  'create table "new" ("id" uuid not null)',
  'create index "a" on "new" ("id")',
  'alter table "new" add constraint "a" check ("b" > 0)',
  'create index "a" on "leases" ("name")',
  'alter table "users" add "b" int not null default 0, add "c" text null, add "d" jsonb not null default \'[]\'',
  `alter table "users" add "b" varchar(8) not null default 'unique check'`,
  'alter table "users" add constraint "a" check ("b" > 0) not valid',
  'alter table "users" add constraint "a" foreign key ("b") references "c" ("id") not valid',
  'alter table "users" add constraint "a" unique using index "b"',
  'alter table "users" drop constraint "a"',
  'alter table "users" drop column "a", alter column "b" set default 1',
  'drop index "a"',
  'update "projects" set "slug" = lower("slug")',
  'insert into "leases" ("name") values (1)',
];

const transactional = (...statements: string[]) => ({ isConcurrent: false, statements });
const concurrent = (...statements: string[]) => ({ isConcurrent: true, statements });

test.each(refused)('the rule refuses %s', (sql) => {
  expect(faultsOf([transactional(sql)])[0]).toHaveLength(1);
});

test('the rule accepts what holds its locks briefly', () => {
  expect(faultsOf([transactional(...accepted)])).toEqual([[]]);
});

test('a concurrent migration may build indexes and read all rows', () => {
  const build = 'create index concurrently if not exists "a" on "users" ("name")';
  expect(faultsOf([concurrent(build, 'alter table "users" validate constraint "a"')])).toEqual([[]]);
  expect(faultsOf([concurrent('create index concurrently "a" on "users" ("name")')])[0]).toHaveLength(1);
  expect(faultsOf([concurrent('create index "a" on "users" ("name")')])[0]).toHaveLength(1);
});

test('a column becomes not null once a check of it is valid', () => {
  const add = transactional('alter table "users" add constraint "named" check ("name" is not null) not valid');
  const validate = concurrent('alter table "users" validate constraint "named"');
  const set = transactional('alter table "users" alter column "name" set not null');
  expect(faultsOf([add, validate, set])).toEqual([[], [], []]);
  expect(faultsOf([add, set, validate])[1]).toHaveLength(1);
});
