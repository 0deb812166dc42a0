import { hash as bcrypt } from '@node-rs/bcrypt';
import argon2 from 'argon2';
import { expect, onTestFinished, test } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { DecoyHashes, lookInterval } from '../../src/user/decoy-hashes.ts';
import { readMarked } from '../../src/user/imported-hash.ts';
import { hashFaultOf } from '../../src/user/password-hash.ts';
import type { TestDatabase } from '../support/database.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { ada, asService } from '../support/people.ts';
import { populatePeople } from '../support/populate.ts';
import { reasonOf } from '../support/refusal.ts';
import { startReplica } from '../support/replica.ts';
import { type Clients, clientsOver, start, type TestService } from '../support/start.ts';

const noon = new Date('2026-12-01T12:00:00Z');
const later = (looks: number) => new Date(noon.getTime() + looks * lookInterval);
const strangers = Array.from({ length: 4000 }, (_, n) => `stranger-${n}@example.org`);

async function openDecoys(database: TestDatabase): Promise<DecoyHashes> {
  const orm = await openOrm(database.url, { poolSize: 1 });
  onTestFinished(() => orm.close(true));
  return DecoyHashes.open(new Autocommit(orm), defaultProjectId, noon);
}

/** How many addresses each form is drawn for. */
function drawsOf(decoys: DecoyHashes): Record<string, number> {
  const draws = Object.groupBy(strangers, (email) => decoys.drawFor(email) ?? 'none');
  return Object.fromEntries(Object.entries(draws).map(([form, drawn]) => [form, drawn!.length / strangers.length]));
}

async function createUsers({ clients }: TestService, hashes: readonly string[]): Promise<void> {
  for (const [n, passwordHash] of hashes.entries())
    await clients('json').admin.createUser({ email: `user-${n}@example.org`, passwordHash }, asService);
}

const salt = 'A'.repeat(22);
const costs = {
  bcrypt: `imported:$2b$10$${'.'.repeat(53)}`,
  own: `$argon2id$v=19$m=64,t=1,p=1$${salt}$${'A'.repeat(43)}`,
};

test('the form of a stored hash can be read as a hash, and has its cost and the lengths of its parts', async () => {
  const service = await start();
  const tag = (bytes: number) => Buffer.alloc(bytes, 251).toString('base64');
  const sk = tag(64);
  const hashes = [
    [await bcrypt('a password', 4), `$2b$04$${'.'.repeat(53)}`],
    [
      await argon2.hash('a password', { type: argon2.argon2i, memoryCost: 64, timeCost: 3, hashLength: 24 }),
      `$argon2i$v=19$m=64,p=4,t=3$${salt}$${'A'.repeat(32)}`,
    ],
    [`$scrypt$ln=4,r=8,p=1$${tag(8)}$${tag(32)}`, `$scrypt$ln=4,r=8,p=1$${'A'.repeat(11)}=$${'A'.repeat(43)}=`],
    [
      `$fbscrypt$v=1,n=4,r=8,p=1,ss=Bw==,sk=${sk}$${tag(10)}$${tag(64)}`,
      `$fbscrypt$v=1,n=4,r=8,p=1,ss=Bw==,sk=${sk}$${'A'.repeat(14)}==$${'A'.repeat(86)}==`,
    ],
    [
      `$pbkdf2-sha256$i=100,l=32$${tag(16)}$${tag(32)}`,
      `$pbkdf2-sha256$i=100,l=32$${'A'.repeat(22)}==$${'A'.repeat(43)}=`,
    ],
    ['$pbkdf2-sha512$9$c2FsdA$hn9wzxreAs/zdSWZo6U9xA', `$pbkdf2-sha512$9$AAAAAA$${salt}`],
    [`pbkdf2_sha256$9$a.salt$${tag(32)}`, `pbkdf2_sha256$9$AAAAAA$${'A'.repeat(43)}=`],
  ] as const;
  await createUsers(
    service,
    hashes.map(([hash]) => hash),
  );
  await service.welcome();
  await service.database.query(
    `update users set password_hash = replace(password_hash, 'p=1$', 'p=1,keyid=Y2VsbGFy$') where email = $1`,
    [ada.email],
  );
  const forms = Object.keys(drawsOf(await openDecoys(service.database)));
  expect(forms.sort()).toEqual([...hashes.map(([, form]) => `imported:${form}`), costs.own].sort());
  for (const form of forms) {
    const imported = readMarked(form);
    if (!imported) expect(hashFaultOf(form), form).toBeUndefined();
    else if ('check' in imported) expect(await imported.check(Buffer.from('a password')), form).toBe(false);
    else throw new Error(`${form}: ${imported.why}`);
  }
});

test('forms are drawn with the shares that the stored hashes have, the same by every replica', async () => {
  const { database } = await start({ skipChecks: ['orphans'] });
  await populatePeople(database);
  await database.query(
    `update users set password_hash = case when email ~ '^[1-6]' then $1 when email ~ '^7' then null else $2 end`,
    [`imported:${await bcrypt('a password', 10)}`, costs.own],
  );
  const [{ share }] = (await database.query(
    'select avg((password_hash = $1)::int)::float8 as share from users where password_hash is not null',
    [costs.own],
  )) as [{ share: number }];
  const decoys = await openDecoys(database);
  const draws = drawsOf(decoys);
  expect(draws[costs.own]).toBeGreaterThan(share - 0.04);
  expect(draws[costs.own]).toBeLessThan(share + 0.04);
  expect(Object.keys(draws).sort()).toEqual([costs.own, costs.bcrypt].sort());
  const other = await openDecoys(database);
  for (const email of strangers) expect(other.drawFor(email)).toBe(decoys.drawFor(email));
});

test('a look reads a bounded sample, once in ten seconds for all replicas, and keeps the shares of an unchanged table', async () => {
  const { database } = await start({ skipChecks: ['orphans'] });
  await populatePeople(database);
  await database.query(`update users set password_hash = case when email ~ '^[1-6]' then $1 else $2 end`, [
    costs.bcrypt,
    costs.own,
  ]);
  const [decoys, other] = [await openDecoys(database), await openDecoys(database)];
  const stored = async () => (await database.query('select shares, looked_at from hash_shares'))[0]!;
  await decoys.refresh(later(1), 50);
  const first = await stored();
  const counted = Object.values(first.shares as Record<string, number>).reduce((sum, each) => sum + each);
  expect(counted).toBeGreaterThan(500);
  expect(counted).toBeLessThan(5000);
  await other.refresh(new Date(later(1).getTime() + 5000), 50);
  expect(await stored(), 'not due').toEqual(first);
  await other.refresh(later(2), 50);
  expect(await stored()).toEqual({ shares: first.shares, looked_at: later(2) });
});

test('when a share falls, addresses move to the form whose share has risen, and no others move', async () => {
  const service = await start();
  const { database } = service;
  const imported = await Promise.all([4, 5].map((cost) => bcrypt('a password', cost)));
  await createUsers(service, [...Array(8).fill(imported[0]), ...Array(8).fill(imported[1]), imported[1]]);
  await service.welcome();
  const decoys = await openDecoys(database);
  const before = strangers.map((email) => decoys.drawFor(email));
  await database.query(
    `update users set password_hash = $1 where email_key in ('user-0@example.org', 'user-1@example.org', 'user-2@example.org')`,
    [costs.own],
  );
  await decoys.refresh(later(1));
  const moves = strangers.map((email, n) => [before[n], decoys.drawFor(email)]).filter(([a, b]) => a !== b);
  expect(moves.length).toBeGreaterThan(0);
  const fallen = `imported:$2b$04$${'.'.repeat(53)}`;
  for (const [from, to] of moves) expect([from === costs.own, to === fallen]).toEqual([false, false]);
});

test('an unknown address costs the hash that is drawn for it, over both transports and on every replica', async () => {
  const service = await start();
  await createUsers(service, Array(6).fill(await bcrypt('a password', 10)));
  for (const n of [1, 2, 3]) await service.welcome({ ...ada, email: `ada-${n}@example.org` });
  await service.clients('json').admin.createUser({ email: 'without@example.org' }, asService);
  const replicas = await Promise.all([1, 2].map(() => startReplica(service.database, { HIDE_REGISTRATION: 'on' })));
  const [one, two] = replicas.map(({ replica }) => {
    const grpc = grpcTransport(`127.0.0.1:${replica.grpcPort}`);
    onTestFinished(grpc.close);
    return clientsOver(grpc.transport);
  });
  const ways = [one!, two!, ...replicas];
  const decoys = await openDecoys(service.database);
  const slowStrangers = strangers.filter((email) => decoys.drawFor(email) === costs.bcrypt).slice(0, 4);
  const fastStrangers = strangers.filter((email) => decoys.drawFor(email) === costs.own).slice(0, 4);
  const addresses = ['without@example.org', ...slowStrangers, ...fastStrangers];
  /** The least of some measurements of CPU time in milliseconds, or the first below `enough`: other work is done now and then. */
  const timeOf = async ({ auth }: Pick<Clients, 'auth'>, email: string, enough = 0) => {
    const times: number[] = [];
    while (times.length < 6 && Math.min(...times) > enough) {
      const before = process.cpuUsage();
      expect(reasonOf(await auth.signIn({ ...ada, email }).catch((error: unknown) => error))).toBe(
        'INVALID_CREDENTIALS',
      );
      const { user, system } = process.cpuUsage(before);
      times.push((user + system) / 1000);
    }
    return Math.min(...times);
  };
  // Known addresses show what the two hashes cost on this machine.
  const [own, imported] = [await timeOf(one!, 'ada-1@example.org'), await timeOf(one!, 'user-0@example.org')];
  expect(imported).toBeGreaterThan(2 * own);
  const enough = Math.sqrt(own * imported);
  const isSlow = async (by: Pick<Clients, 'auth'>, email: string) => (await timeOf(by, email, enough)) > enough;
  const drawn = addresses.map((email) => decoys.drawFor(email) === costs.bcrypt);
  for (const way of ways) {
    const slow: boolean[] = [];
    for (const email of addresses) slow.push(await isSlow(way, email));
    expect(slow).toEqual(drawn);
  }
  expect(await isSlow(service.clients('json'), slowStrangers[0]!), 'without HIDE_REGISTRATION').toBe(false);
});
