import { expect, onTestFinished, test } from 'vitest';
import { fillQueue } from '../../bench/queue.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { claimBeyond, claimDue } from '../../src/mail/claim.ts';
import { createDatabase } from '../support/database.ts';

const now = new Date();
const keys = new MasterKeys([{ id: 'test', key: Buffer.alloc(32) }]);
const claiming = {
  ...{ now, leasedUntil: new Date(now.getTime() + 120_000), limit: 20 },
  ...{ domains: ['example.org'], rooms: [20], room: 4 },
};

const ways = {
  'that are due first': (on: Autocommit) => claimDue(on, claiming),
  'of a domain': (on: Autocommit) => claimBeyond(on, claiming, ''),
};

test.each(Object.entries(ways))('a claim of the mails %s waits for no mail that is locked', async (_, claim) => {
  const database = await createDatabase();
  const orm = await openOrm(database.url, { poolSize: 1 });
  onTestFinished(() => orm.close(true));
  // Two mails for each of two addresses.
  await fillQueue(database.query, keys, now, 4);
  const release = await database.hold(`select 1 from mail_outbox where recipient = 'p0@example.org' for update`);
  const { claimed } = await claim(new Autocommit(orm, AbortSignal.timeout(5000)));
  expect(claimed.map(({ recipient }) => recipient)).toEqual(['p1@example.org']);
  await release();
});
