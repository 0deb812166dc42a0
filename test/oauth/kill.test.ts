import { expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { deviceGrant, oauthEnv } from '../support/oauth.ts';
import { ada, asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { bearer } from '../support/start.ts';

type Replica = Awaited<ReturnType<typeof serve>>;
interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
}

/** What a client gets from an endpoint. Undefined when the connection breaks. */
async function send({ ready }: Replica, path: string, form: Record<string, string>) {
  const body = new URLSearchParams({ client_id: 'tv', ...form });
  const response = await fetch(`${ready.http}${path}`, { method: 'POST', body }).catch(() => undefined);
  const text = await response?.text().catch(() => undefined);
  return response && text !== undefined ? { status: response.status, body: text ? JSON.parse(text) : {} } : undefined;
}

const redeem = (replica: Replica, device_code: string) =>
  send(replica, '/oauth2/token', { grant_type: deviceGrant, device_code });
const refresh = (replica: Replica, refresh_token: string) =>
  send(replica, '/oauth2/token', { grant_type: 'refresh_token', refresh_token });

const pairs = 10;

/** Two replicas with approved logins of the client `tv`. */
async function prepare() {
  const database = await createDatabase();
  const { url } = database;
  const env = { MASTER_KEYS: testEnv.MASTER_KEYS, DATABASE_URL: url, LIMITS: '*=off', ...oauthEnv };
  const [stays, dies] = await Promise.all([serve(env), serve(env)]);
  const { admin, auth, devices } = stays.clients.json;
  await admin.createUser({ ...ada, emailVerified: true }, asService);
  const as = bearer((await auth.signIn(ada)).tokens!);
  const codes: string[] = [];
  for (let n = 0; n < pairs; n++) {
    const { body } = (await send(stays, '/oauth2/device_authorization', {}))!;
    await devices.approveDevice({ userCode: body.user_code }, as);
    codes.push(body.device_code);
  }
  const count = async () => {
    const [row] = await database.query<{ count: number }>(
      "select count(*)::int from sessions where kind <> 'web' and revoked_at is null",
    );
    return row!.count;
  };
  return { stays, dies, codes, count, database };
}

/** Sends everything at once, to both replicas in turn, and kills one of them after the third response. */
async function racing<T>({ stays, dies }: { stays: Replica; dies: Replica }, calls: ((on: Replica) => Promise<T>)[]) {
  let settled = 0;
  const answers = await Promise.all(
    calls.map(async (call, n) => {
      const answer = await call(n % 2 ? stays : dies);
      if (++settled === 3) dies.kill('SIGKILL');
      return answer;
    }),
  );
  dies.kill('SIGKILL');
  await dies.ended;
  return answers;
}

test('a replica that is killed during /oauth2/token redeems no login twice', { timeout: 60_000 }, async () => {
  const { stays, dies, codes, count } = await prepare();
  const calls = codes.flatMap((code) => [1, 2].map(() => (on: Replica) => redeem(on, code)));
  const answers = await racing({ stays, dies }, calls);
  for (let n = 0; n < pairs; n++) {
    const received = answers.slice(2 * n, 2 * n + 2);
    const successes = received.filter((each) => each?.status === 200);
    expect(successes.length, `login ${n}`).toBeLessThanOrEqual(1);
    for (const refused of received.filter((each) => each && each.status !== 200))
      expect(['invalid_grant', 'slow_down', 'temporarily_unavailable']).toContain(refused!.body.error);
    const after = await redeem(stays, codes[n]!);
    if (successes.length === 1) expect(after!.body.error).toBe('invalid_grant');
  }
  expect(await count(), 'each login is one session').toBe(pairs);
});

test('a replica that is killed during refreshes signs nobody out', { timeout: 60_000 }, async () => {
  const { stays, dies, codes, count } = await prepare();
  const tokens: Tokens[] = [];
  for (const code of codes) tokens.push((await redeem(stays, code))!.body);
  const calls = tokens.flatMap((each) => [1, 2].map(() => (on: Replica) => refresh(on, each.refresh_token)));
  const answers = await racing({ stays, dies }, calls);
  for (let n = 0; n < pairs; n++) {
    const received = answers.slice(2 * n, 2 * n + 2).flatMap((each) => (each?.status === 200 ? [each.body] : []));
    // A lost response is asked for again; it has the same successor, sealed anew.
    const again = await refresh(stays, tokens[n]!.refresh_token);
    expect(again, `session ${n}`).toMatchObject({ status: 200 });
    for (const { refresh_token } of [...received, again!.body] as Tokens[])
      expect(await refresh(stays, refresh_token), `session ${n}`).toMatchObject({ status: 200 });
  }
  expect(await count()).toBe(pairs);
});

test('a revocation that was confirmed by a replica before it is killed holds', { timeout: 60_000 }, async () => {
  const { stays, dies, codes, count } = await prepare();
  const tokens: Tokens[] = [];
  for (const code of codes) tokens.push((await redeem(stays, code))!.body);
  const calls = tokens.map(
    ({ refresh_token }) =>
      (on: Replica) =>
        send(on, '/oauth2/revoke', { token: refresh_token }),
  );
  const answers = await racing({ stays, dies }, calls);
  let confirmed = 0;
  for (let n = 0; n < pairs; n++) {
    if (answers[n]?.status !== 200) continue;
    confirmed += 1;
    expect((await refresh(stays, tokens[n]!.refresh_token))!.body.error, `session ${n}`).toBe('invalid_grant');
  }
  expect(confirmed).toBeGreaterThanOrEqual(3);
  expect(await count()).toBeLessThanOrEqual(pairs - confirmed);
});
