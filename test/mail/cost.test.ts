import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { type Examined, examine } from '../../bench/explain.ts';
import { fillQueue } from '../../bench/queue.ts';
import { Recorder } from '../../bench/recorder.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { byIndexOnly } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { compile } from '../../src/database/statement.ts';
import { type Claimed, claimBeyond, claimDue, hasDueMail, hasQueuedMail } from '../../src/mail/claim.ts';
import { Outbox } from '../../src/mail/outbox.ts';
import { extend, settle } from '../../src/mail/settle.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

const now = new Date();
const long = 20_000;
const keys = new MasterKeys([{ id: 'test', key: Buffer.alloc(32) }]);
const claiming = {
  ...{ now, leasedUntil: new Date(now.getTime() + 120_000), limit: 20 },
  ...{ domains: ['example.org'], rooms: [20], room: 4 },
};
const full = { ...claiming, rooms: [0] };

/** What an outage of the mail server may leave behind. */
const queues: Readonly<Record<string, string>> = {
  'two mails for each address of one domain': 'select 1',
  'all mails for one address': `update mail_outbox set recipient = 'ada@example.org'`,
  'every mail for another domain': `update mail_outbox set recipient = 'ada@d' || id || '.example'`,
  'only expired links': `update one_time_tokens set expires_at = created_at - interval '1 second'`,
  'no mail that is due': `update mail_outbox set due_at = created_at + interval '1 hour', attempts = 1`,
};

const statements: Readonly<Record<string, (on: Recorder, some: readonly Claimed[]) => Promise<unknown>>> = {
  'claims mails': (on) => claimDue(on, claiming),
  'claims nothing, as the domain has no room': (on) => claimDue(on, full),
  'claims by domain': (on) => claimBeyond(on, full, ''),
  'stores results': (on, some) =>
    settle(
      on,
      some.map((mail) => ({ mail, state: 'sent', dueAt: null, fault: null, isInDoubt: false, isGivenBack: false })),
      now,
    ),
  'extends leases': (on, some) => extend(on, some, claiming.leasedUntil),
};

async function open() {
  const database = await createDatabase();
  // One connection, which prepares whatever is prepared while the queue is empty.
  const orm = await openOrm(database.url, { poolSize: 1 });
  onTestFinished(() => orm.close(true));
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(byIndexOnly.replaceAll('true', 'false'));
  onTestFinished(() => client.end());
  return { database, client, recorder: new Recorder(orm) };
}

/** Some mails as if they had been claimed. */
const someOf = ({ query }: TestDatabase) =>
  query<Claimed>('select id, user_id, attempts, recipient from mail_outbox order by id limit 20');

test.each(Object.entries(queues))(
  'with %s, no statement reads more of a queue of twenty thousand than of one of two hundred',
  async (_, shape) => {
    const read = async (length: number, isAnalyzed: boolean) => {
      const { database, client, recorder } = await open();
      await fillQueue(database.query, keys, now, length);
      await database.query(shape);
      await database.query(isAnalyzed ? 'analyze' : 'select 1');
      const rows: Record<string, number> = {};
      for (const [name, send] of Object.entries(statements)) {
        await send(recorder, await someOf(database));
        const examined = await examine(client, recorder.last, 'custom');
        if (length === long) expect(examined.scanned, name).toEqual([]);
        rows[name] = examined.rows;
      }
      return rows;
    };
    const [few, many, unanalyzed] = [await read(200, true), await read(long, true), await read(long, false)];
    for (const name of Object.keys(statements)) {
      // Thirty domains with four mails each are claimed at once, of which a short queue may have fewer.
      expect(many[name], name).toBeLessThanOrEqual(Math.max(2 * few[name]!, 1000));
      expect(unanalyzed[name], `${name}, before the table is analyzed`).toBeLessThanOrEqual(many[name]! + 200);
    }
  },
  60_000,
);

test('when most of a long queue was sent, a look for due mails reads a few rows', async () => {
  const { database } = await open();
  await fillQueue(database.query, keys, now, long);
  await database.query('analyze');
  const last = `select id from mail_outbox order by id desc limit 20`;
  await database.query(`update mail_outbox set state = 'sent', ended_at = now() where id not in (${last})`);
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  onTestFinished(() => client.end());
  for (const look of [hasDueMail, hasQueuedMail]) {
    const { text, valuesOf } = compile(`select ${look} as found, :now::timestamptz as at`);
    const values = valuesOf({ now });
    expect((await client.query(text, values as unknown[])).rows).toMatchObject([{ found: true }]);
    const { scanned } = await examine(client, { text, values }, 'custom');
    expect(scanned).toEqual([]);
  }
});

test('the queue is counted up to ten thousand mails', async () => {
  const { database, client, recorder } = await open();
  await fillQueue(database.query, keys, now, 3 * long);
  const read: Examined[] = [];
  for (const analyze of ['select 1', 'analyze']) {
    await database.query(analyze);
    expect(await new Outbox(keys).measure(recorder, now)).toEqual({ length: 10_000, oldest: 0 });
    read.push(await examine(client, recorder.last, 'custom'));
  }
  for (const { rows, scanned } of read) expect([rows, scanned]).toEqual([10_000, []]);
});

test('a queue that was empty when its statements first ran is not read completely once it is long', async () => {
  const { database, recorder } = await open();
  await fillQueue(database.query, keys, now, 20);
  await database.query('analyze');
  const scanned = async () => {
    // Backends report what they read once a second.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const [row] = await database.query<{ rows: number }>(
      `select sum(seq_tup_read)::int as rows from pg_stat_user_tables where relname in ('mail_outbox', 'one_time_tokens')`,
    );
    return row!.rows;
  };
  const runAll = async () => {
    for (const send of Object.values(statements)) await send(recorder, await someOf(database));
    await new Outbox(keys).measure(recorder, now);
  };
  for (let n = 0; n < 10; n++) await runAll();
  await database.query('delete from mail_outbox');
  await database.query('delete from one_time_tokens');
  await database.query('delete from users');
  await fillQueue(database.query, keys, now, long);
  const before = await scanned();
  await runAll();
  expect((await scanned()) - before).toBeLessThan(1000);
}, 30_000);
