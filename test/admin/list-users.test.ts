import { type MessageInitShape, toJsonString } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { examine } from '../../bench/explain.ts';
import { Recorder } from '../../bench/recorder.ts';
import { type ListUsersRequestSchema, ListUsersResponseSchema } from '../../gen/gatehouse/v1/admin_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { findUsers, type OrderName, type UserFilter } from '../../src/admin/user-order.ts';
import { openOrm } from '../../src/database/orm.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import type { TestDatabase } from '../support/database.ts';
import { asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

type Request = MessageInitShape<typeof ListUsersRequestSchema>;

const noon = new Date('2026-11-29T12:00:00Z');

/** In the order of their creation. */
const people: readonly [name: string, role: SystemRole, banned?: true][] = [
  ['bob', SystemRole.ENGINEER],
  ['Ada', SystemRole.OPERATOR],
  ['ÀDA', SystemRole.ENGINEER],
  ['ada lovelace', SystemRole.ENGINEER, true],
  ['', SystemRole.ENGINEER],
  ['Adam', SystemRole.OPERATOR, true],
  ['ad%', SystemRole.ENGINEER],
  ['ΝΙΚΟΣ', SystemRole.ENGINEER],
];

describe.each(wires)('over %s', (wire) => {
  test('users are listed by creation, name or role, forwards and backwards, in pages of any size', async () => {
    const service = await start();
    await populate(service);
    const byCreation = people.map(([name]) => name);
    const byName = ['', 'ad%', 'Ada', 'ada lovelace', 'Adam', 'bob', 'ÀDA', 'ΝΙΚΟΣ'];
    const byRole = [...namesOf(SystemRole.ENGINEER), ...namesOf(SystemRole.OPERATOR)];
    const expected: [orderBy: string, names: string[]][] = [
      ['', byCreation],
      ['create_time', byCreation],
      ['create_time desc', byCreation.toReversed()],
      ['name', byName],
      ['name desc', byName.toReversed()],
      ['role', byRole],
      ['role desc', byRole.toReversed()],
    ];
    for (const [orderBy, names] of expected)
      for (const pageSize of [1, 3, 8, 100])
        expect(await list(service, wire, { orderBy, pageSize }), `${orderBy} by ${pageSize}`).toEqual(names);
  });

  test('users are found by role, by the beginning of their name and by their creation, each in its order', async () => {
    const service = await start();
    await populate(service);
    const find = (request: Request) => list(service, wire, { pageSize: 2, ...request });
    expect(await find({ role: SystemRole.OPERATOR })).toEqual(['Ada', 'Adam']);
    expect(await find({ role: SystemRole.OPERATOR, orderBy: 'name desc' })).toEqual(['Adam', 'Ada']);
    expect(await find({ role: SystemRole.ENGINEER, orderBy: 'role' })).toEqual(namesOf(SystemRole.ENGINEER));
    expect(await find({ role: SystemRole.OPERATOR, banned: true })).toEqual(['Adam']);
    expect(await find({ role: SystemRole.ENGINEER, namePrefix: 'ad' })).toEqual(['ad%', 'ada lovelace']);
    expect(await find({ namePrefix: 'ADA' })).toEqual(['Ada', 'ada lovelace', 'Adam']);
    expect(await find({ namePrefix: 'ad', orderBy: 'name desc' })).toEqual(['Adam', 'ada lovelace', 'Ada', 'ad%']);
    expect(await find({ namePrefix: 'ad%' })).toEqual(['ad%']);
    expect(await find({ namePrefix: 'ΝΙΚ' })).toEqual(['ΝΙΚΟΣ']);
    expect(await find({ namePrefix: 'Àd' })).toEqual(['ÀDA']);
    const from = (n: number) => timestampFromDate(new Date(noon.getTime() + n * 1000));
    expect(await find({ startTime: from(5) })).toEqual(['Adam', 'ad%', 'ΝΙΚΟΣ']);
    expect(await find({ endTime: from(2), orderBy: 'create_time desc' })).toEqual(['Ada', 'bob']);
    expect(await find({ startTime: from(1), endTime: from(6), role: SystemRole.OPERATOR })).toEqual(['Ada', 'Adam']);
    expect(await find({ banned: true, orderBy: 'create_time desc' })).toEqual(['Adam', 'ada lovelace']);
    expect(await find({ emailPrefix: 'user-', role: SystemRole.OPERATOR })).toEqual(['Ada', 'Adam']);
    expect(await find({ email: 'user-1@example.org', role: SystemRole.OPERATOR, namePrefix: 'A' })).toEqual(['Ada']);
    for (const miss of [
      { role: SystemRole.ENGINEER },
      { namePrefix: 'b' },
      { startTime: from(2) },
      { endTime: from(1) },
    ])
      expect(await find({ email: 'user-1@example.org', ...miss })).toEqual([]);
  });

  test('an order that a filter has no index for is refused, and so is the page of another list', async () => {
    const service = await start();
    await populate(service);
    const { admin } = service.clients(wire);
    const refused = (request: Request) => refusalOf(admin.listUsers(request, asService));
    const startTime = timestampFromDate(noon);
    const wrong: [request: Request, field: string][] = [
      [{ emailPrefix: 'a', orderBy: 'name' }, 'order_by'],
      [{ namePrefix: 'a', orderBy: 'create_time' }, 'order_by'],
      [{ startTime, orderBy: 'role desc' }, 'order_by'],
      [{ emailPrefix: 'a', namePrefix: 'b' }, 'name_prefix'],
      [{ namePrefix: 'a', startTime }, 'start_time'],
      [{ emailPrefix: 'a', endTime: startTime }, 'end_time'],
      [{ orderBy: 'email' }, 'order_by'],
      [{ orderBy: 'name; drop table users' }, 'order_by'],
      [{ role: 9 as SystemRole }, 'role'],
      [{ startTime: { seconds: 2n ** 60n } }, 'start_time'],
    ];
    for (const [request, field] of wrong)
      expect(await refused(request), field).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: [field] });
    const { nextPageToken: pageToken } = await admin.listUsers({ orderBy: 'name', pageSize: 1 }, asService);
    for (const other of [
      {},
      { orderBy: 'name desc' },
      { orderBy: 'role' },
      { orderBy: 'name', role: SystemRole.OPERATOR },
    ])
      expect((await refused({ ...other, pageToken })).reason).toBe('PAGE_TOKEN_INVALID');
  });
});

test('a page reads a bounded number of rows among a hundred thousand users, whatever its order, filter and place', async () => {
  const service = await start({ skipChecks: ['orphans'] }); // users without accounts
  const { database } = service;
  await database.query(`
    insert into users (id, project_id, email, email_key, name, app_metadata, user_metadata, system_role, banned_until, created_at, updated_at)
      select gen_random_uuid(), '${defaultProjectId}', n || '@example.org', n || '@example.org', 'n' || md5(n::text), '{}', '{}',
        case when n % 1000 = 0 then 'operator' else 'engineer' end,
        case when n % 3 = 0 then now() - interval '1 day' when n = 99999 then now() + interval '1 day' end,
        now() - n * interval '1 second', now()
      from generate_series(1, 100000) n`);
  await database.query('analyze users');
  const filters: [order: OrderName, filter: Partial<UserFilter>, most: number][] = [
    ['create_time', {}, 150],
    ['name', {}, 150],
    ['role', {}, 150],
    ['address', { from: '5', until: '6' }, 150],
    ['name', { from: 'na', until: 'nb' }, 150],
    ['create_time', { role: 'operator' }, 150],
    ['name', { role: 'operator' }, 150],
    ['create_time', { banned: true }, 2200],
    ['name', { banned: true }, 2200],
    ['role', { banned: true, role: 'operator' }, 2200],
    ['address', { role: 'operator', from: '5', until: '6' }, 2200],
  ];
  const looked = lookInto(database);
  for (const [name, filter, most] of filters)
    for (const isDescending of [false, true])
      for (const plan of ['custom', 'generic'] as const) {
        const what = `${name} ${isDescending} ${JSON.stringify(filter)} ${plan}`;
        for (const { rows, scanned } of await looked({ name, isDescending }, filter, plan)) {
          expect(rows, what).toBeLessThanOrEqual(most);
          expect(scanned, what).toEqual([]);
        }
      }
});

/** What the database reads for the first page of a list, and for one in the middle. */
function lookInto({ url }: TestDatabase) {
  const client = new pg.Client(url);
  const opened = Promise.all([openOrm(url, { poolSize: 1 }), client.connect()]);
  onTestFinished(async () => {
    const [orm] = await opened;
    await Promise.all([orm.close(true), client.end()]);
  });
  return async (
    order: { name: OrderName; isDescending: boolean },
    some: Partial<UserFilter>,
    plan: 'custom' | 'generic',
  ) => {
    const [orm] = await opened;
    const recorder = new Recorder(orm);
    const filter = { role: undefined, banned: undefined, from: undefined, until: undefined, ...some };
    const reads = [];
    let after: readonly string[] | undefined;
    for (let page = 0; page < 2; page++) {
      const { next } = await findUsers(recorder, order, filter, {
        ...{ projectId: defaultProjectId, now: new Date(), limit: 50 },
        after,
      });
      reads.push(await examine(client, recorder.last, plan));
      after = next;
    }
    return reads;
  };
}

async function populate(service: TestService): Promise<void> {
  const { admin } = service.clients('json');
  for (const [n, [name, role, isBanned]] of people.entries()) {
    const { user } = await admin.createUser({ email: `user-${n}@example.org`, name }, asService);
    const userId = user!.id;
    if (role === SystemRole.OPERATOR) await admin.updateUser({ userId, role }, asService);
    if (isBanned) await admin.banUser({ userId }, asService);
    const at = new Date(noon.getTime() + n * 1000);
    await service.database.query('update users set created_at = $1 where id = $2', [at, userId]);
  }
}

function namesOf(role: SystemRole): string[] {
  return people.filter((each) => each[1] === role).map(([name]) => name);
}

/** The names on all pages. */
async function list(service: TestService, wire: Wire, request: Request): Promise<string[]> {
  const { admin } = service.clients(wire);
  const names: string[] = [];
  for (let pageToken = '', page = 0; page < 100; page++) {
    const response = await admin.listUsers({ ...request, pageToken }, asService);
    expect(response.users.length, toJsonString(ListUsersResponseSchema, response)).toBeLessThanOrEqual(
      request.pageSize!,
    );
    names.push(...response.users.map(({ name }) => name));
    pageToken = response.nextPageToken;
    if (!pageToken) return names;
  }
  throw new Error('the list has no end');
}
