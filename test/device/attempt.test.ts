// @serializable
import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { advance, findByCode } from '../../src/device/attempt.ts';
import { deriveSecret, mintCode, mintSecret, userCodes } from '../../src/device/codes.ts';
import type { AttemptEvent, AttemptKind } from '../../src/device/kinds.ts';
import { LoginPolls } from '../../src/device/poll.ts';
import { type Credential, possessionOf, redeem } from '../../src/device/redemption.ts';
import { type Started, startAttempt } from '../../src/device/start-attempt.ts';
import { Refusal } from '../../src/errors.ts';
import { defaultProjectId as projectId } from '../../src/project/project.ts';
import { autocommit, change } from '../../src/rpc/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { together } from '../support/race.ts';
import { unitsOfWork } from '../support/unit-of-work.ts';

const noon = new Date('2026-06-01T12:00:00Z');
const ada = '019a0000-0000-7000-8000-00000000000a';
const session = '019a0000-0000-7000-8000-00000000005a';
const masterKey = (id: string) => ({ id, key: Buffer.alloc(32, id) });
const keys = new MasterKeys([masterKey('b'), masterKey('a')]);
const approval = { userId: ada, approverSessionId: session, approverEpoch: 0, approverAuthenticatedAt: noon };

async function prepare() {
  const database = await createDatabase();
  const orm = await openOrm(database.url, { poolSize: 20 });
  onTestFinished(() => orm.close(true));
  await database.query(
    `insert into users (id, project_id, email, email_key, app_metadata, user_metadata, created_at, updated_at)
     values ($1, $2, 'ada@example.org', 'ada@example.org', '{}', '{}', now(), now())`,
    [ada, projectId],
  );
  await database.query(
    `insert into sessions (id, project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address, created_at,
       refreshed_at, idle_seconds, idle_expires_at, expires_at, refresh_window_at, refresh_count)
     values ($1, $2, $3, 'web', 1, '[]', 0, '', '', '', $4, $4, 86400, $5, $5, $4, 0)`,
    [session, projectId, ada, noon, new Date(noon.getTime() + 86_400_000)],
  );
  const time = { now: noon };
  const call = unitsOfWork(orm, () => time.now);
  const polls = new LoginPolls(new Autocommit(orm));
  return { database, call, ...ways(call, time, polls) };
}

function ways(call: ReturnType<typeof unitsOfWork>, time: { now: Date }, polls: LoginPolls) {
  const start = (kind: AttemptKind = 'device', draw = () => mintCode(userCodes), by = keys) =>
    call((context) =>
      change(context, (em) => startAttempt(em, by, context, { kind, clientName: 'a tool', mintCode: draw }, time.now)),
    );
  const move = ({ attempt }: Started, event: AttemptEvent, changes = {}) =>
    call((context) => change(context, (em) => advance(em, context, attempt, { event, changes }, time.now)));
  const poll = ({ attempt, pollingSecret }: Started) =>
    call((context) => polls.poll(context, attempt.kind, pollingSecret, time.now));
  return {
    time,
    pass: (seconds: number) => {
      time.now = new Date(time.now.getTime() + seconds * 1000);
    },
    ...{ start, move, poll },
    approve: (started: Started) => move(started, 'approve', approval),
    find: (code: string, kind: AttemptKind = 'device', by = keys) =>
      call((context) => findByCode(autocommit(context), by, { projectId, kind, code }, time.now)),
    take: (started: Started, nonce = '') =>
      call(async (context) => {
        const polled = await polls.poll(context, started.attempt.kind, started.pollingSecret, time.now);
        return redeem(
          context,
          { attempt: polled!.attempt!, possession: possessionOf(started.pollingSecret, nonce) },
          words,
          time.now,
        );
      }),
  };
}

/** In place of a session or a key. */
const words: Credential<string> = {
  kind: 'session',
  mint: async (_, user, id) => `${user.id} ${id}`,
  repeat: async ({ userId, mintedId }) => `${userId} ${mintedId}`,
};

async function rows({ query }: TestDatabase) {
  const [row] = await query<{ row: string; events: number }>(
    `select string_agg(a::text, ' ') as row, (select count(*)::int from audit_events) as events from login_attempts a`,
  );
  return row!;
}

test('a code and a polling secret are stored as hashes, and found for their kind only', async () => {
  const { database, start, find, poll, move } = await prepare();
  const started = await start();
  expect(started.pollingSecret).toMatch(/^ghpd_[\w-]{43}$/);
  expect(await find(started.code)).toMatchObject({ id: started.attempt.id, state: 'pending', clientName: 'a tool' });
  expect(await find(started.code, 'dashboard')).toBeUndefined();
  expect(await poll(started)).toMatchObject({ state: 'pending' });
  expect(await poll({ ...started, pollingSecret: started.code })).toBeUndefined();
  expect(await poll({ ...started, pollingSecret: mintSecret('ghpd_') })).toBeUndefined();
  await move(started, 'approve', approval);
  const { row } = await rows(database);
  for (const secret of [started.code, started.pollingSecret, started.pollingSecret.slice(5)])
    expect(row).not.toContain(secret);
});

test('a code is found after the master keys were rotated, and drawn again when another attempt has it', async () => {
  const { start, find } = await prepare();
  const old = await start('device', undefined, new MasterKeys([masterKey('a')]));
  expect((await find(old.code))?.id).toBe(old.attempt.id);
  const drawn = ['BBBB-BBBB', 'BBBB-BBBB', 'CCCC-CCCC'];
  expect([
    (await start('device', () => drawn.shift()!)).code,
    (await start('device', () => drawn.shift()!)).code,
  ]).toEqual(['BBBB-BBBB', 'CCCC-CCCC']);
});

test('of parallel decisions one is kept', async () => {
  const { database, start, approve, move, poll } = await prepare();
  const started = await start();
  const { answers } = await together((index) => (index % 2 ? approve(started) : move(started, 'deny')));
  expect(answers.filter(Boolean)).toHaveLength(1);
  expect((await poll(started))?.state).toMatch(/^(approved|denied)$/);
  expect((await rows(database)).events, 'the start and one decision').toBe(2);
});

test('an expired attempt is neither decided nor redeemed', async () => {
  const { start, approve, take, pass, move } = await prepare();
  const [pending, approved] = [await start(), await start()];
  await approve(approved);
  pass(900);
  expect([await approve(pending), await move(pending, 'deny')]).toEqual([false, false]);
  expect(await take(approved)).toEqual({ state: 'expired' });
  expect(await take(pending)).toEqual({ state: 'expired' });
});

test('of parallel redemptions with other nonces one succeeds, and with its nonce it is repeated', async () => {
  const { start, approve, take, pass } = await prepare();
  const started = await start();
  await approve(started);
  const nonces = Array.from({ length: 20 }, () => randomUUID());
  const { answers } = await together((index) => take(started, nonces[index]), 20);
  const won = answers.findIndex(({ state }) => state === 'approved');
  expect(answers.map(({ state }) => state).sort()).toEqual(['approved', ...Array(19).fill('redeemed')]);
  expect(answers[won]!.response).toMatch(new RegExp(`^${ada} `));
  expect(await take(started, nonces[won]!)).toEqual(answers[won]);
  expect(await take(started)).toEqual({ state: 'redeemed' });
  pass(900);
  expect(await take(started, nonces[won]!)).toEqual({ state: 'redeemed' });
});

test.each([
  ['the session that approved is revoked', 'update sessions set revoked_at = now()'],
  ['its tokens are superseded', 'update sessions set token_epoch = 1'],
  ['its user is banned', `update users set banned_until = '9999-01-01'`],
  ['its user is deleted', 'update users set deleted_at = now()'],
  ['all sessions of the project are revoked', 'update projects set session_epoch = session_epoch + 1'],
])('an approval is void once %s', async (_, change) => {
  const { database, start, approve, take } = await prepare();
  const started = await start();
  await approve(started);
  await database.query(change);
  expect(await take(started)).toEqual({ state: 'denied' });
  expect(await rows(database)).toMatchObject({ row: expect.stringContaining(',approved,'), events: 2 });
});

test('a secret is derived from both inputs and the attempt', () => {
  const derive = (secret: string, nonce: string, id: string, use = 'session') =>
    deriveSecret({ secret, nonce }, id, use, 16).toString('hex');
  expect(derive('s', 'n', 'a')).toBe(derive('s', 'n', 'a'));
  const all = [derive('s', 'n', 'a'), derive('t', 'n', 'a'), derive('s', 'm', 'a'), derive('s', 'n', 'b')];
  expect(new Set([...all, derive('s', 'n', 'a', 'key')]).size).toBe(5);
});

/** The outcome of a poll: the state, or the seconds of SLOW_DOWN. */
async function outcome(poll: Promise<{ state: string } | undefined>) {
  return poll.then(
    (polled) => polled?.state,
    (thrown: Refusal) => {
      expect(thrown.reason).toBe('SLOW_DOWN');
      return thrown.options.retryAfter;
    },
  );
}

test('an early poll adds five seconds to the interval, and a poll at the new interval succeeds', async () => {
  const { start, poll, approve, pass } = await prepare();
  const started = await start();
  const after = async (seconds: number) => {
    pass(seconds);
    return outcome(poll(started));
  };
  expect(await after(0)).toBe('pending');
  expect(await after(5)).toBe('pending');
  expect(await after(2.5)).toBe(10);
  expect(await after(1)).toBe(15);
  expect(await after(15)).toBe('pending');
  expect(await after(14.6), 'within the tolerance').toBe('pending');
  expect(await after(5)).toBe(20);
  await approve(started);
  expect(await after(0), 'a decided attempt is never early').toBe('approved');
});

test('polls without a pause write nothing once the interval is at its longest, and of parallel ones one is in time', async () => {
  const { database, start, poll, pass } = await prepare();
  const started = await start();
  const { answers, errors } = await together(() => poll(started));
  expect([answers.length, errors.every((each) => each instanceof Refusal)]).toEqual([1, true]);
  for (let i = 0; i < 12; i++) await outcome(poll(started));
  const before = await rows(database);
  const version = () => database.query('select xmin, ctid from login_attempts');
  const versions = await version();
  expect(await outcome(poll(started))).toBe(60);
  expect(await version()).toEqual(versions);
  expect(await rows(database)).toEqual(before);
  pass(60);
  expect(await outcome(poll(started))).toBe('pending');
});
