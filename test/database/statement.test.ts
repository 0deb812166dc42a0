import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Interceptor } from '@connectrpc/connect';
import { expect, onTestFinished, test } from 'vitest';
import { importUsers } from '../../src/admin/import.ts';
import { keepPartitions } from '../../src/audit/partitions.ts';
import { sealEvents } from '../../src/audit/seal.ts';
import { verifyTrail } from '../../src/audit/verify.ts';
import { commandLine } from '../../src/cli/caller.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { openOrm } from '../../src/database/orm.ts';
import { transact } from '../../src/database/transaction.ts';
import { uuidv7 } from '../../src/database/uuid.ts';
import { sweep } from '../../src/jobs/janitor.ts';
import { voidAllOfProject } from '../../src/one-time/token.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { kWork } from '../../src/rpc/context.ts';
import { User } from '../../src/user/user.ts';
import { failAccountMethods } from '../support/account-methods.ts';
import { raceDeviceMethods } from '../support/device-methods.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { callEveryMethod, keepTrailUnsealed, ofCalls } from '../support/methods.ts';
import { ada } from '../support/people.ts';
import { populate } from '../support/populate.ts';
import { type DatabaseProxy, type SentStatement, startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService } from '../support/start.ts';
import { spoilMails } from './spoilt-mails.ts';
import { most } from './statement-budgets.ts';

const env = { AUTO_CONFIRM_EMAIL: 'on', LIMITS: '*=50,SessionService.Refresh:session=1000' };

/** Calls every method, causes every failure that writes something, and sweeps. */
async function useEverything(service: TestService, proxy: DatabaseProxy): Promise<void> {
  await callEveryMethod(service, 'grpc');
  const { auth, sessions } = service.clients('grpc');
  await refusalOf(auth.signIn({ ...ada, password: 'a wrong password' }));
  await spoilMails(service);
  const { tokens } = await service.guest();
  for (const includeUser of [false, true]) {
    await sessions.refresh({ refreshToken: tokens.refreshToken, includeUser });
    await sessions.refresh({ refreshToken: tokens.refreshToken, includeUser });
    await refreshTogether(service, includeUser);
  }
  await failAccountMethods(service, 'grpc');
  await raceDeviceMethods(service, 'grpc');
  service.pass(11);
  await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }));
  const orm = await openOrm(proxy.url(service.database));
  onTestFinished(() => orm.close(true));
  await sweep(orm, service.now());
  await keepTrail(orm, service);
  await transact(orm, (em) => voidAllOfProject(em, defaultProjectId, service.now()));
}

/** The first refresh is in flight when the others arrive. */
async function refreshTogether(service: TestService, includeUser: boolean): Promise<void> {
  const { sessions } = service.clients('grpc');
  const guests = await Promise.all(Array.from({ length: 5 }, () => service.guest()));
  await Promise.all(guests.map(({ tokens: { refreshToken } }) => sessions.refresh({ refreshToken, includeUser })));
}

/** The work of jobs and commands on the audit trail. */
async function keepTrail(orm: Awaited<ReturnType<typeof openOrm>>, service: TestService): Promise<void> {
  const keys = new MasterKeys(service.config.masterKeys);
  const imported = { ...ada, email: 'imported@example.org', projectId: defaultProjectId, passwordHash: null };
  const user = Object.assign(User.register(imported, service.now()), { currentAccountId: uuidv7(service.now()) });
  // The second time the address is taken.
  const line = { user, hasOwnId: false, identities: [], factors: [], credentials: [], codes: [] };
  for (let time = 0; time < 2; time++)
    await importUsers(orm, [line], { context: commandLine('import'), plan: 'pro' }, service.now());
  await sealEvents(orm, keys, service.now());
  await service.database.query('set session_replication_role = replica');
  const event = (id: string, days: number) =>
    service.database.query(
      `insert into audit_events (id, project_id, at, action, result, actor_kind, address, user_agent, request_id)
       select $1, id, now() + $2 * interval '1 day', 'auth.login', 'SUCCESS', 'anyone', '', '', '' from projects where slug = 'default'`,
      [id, days],
    );
  await event('01900000-0000-7000-8000-000000000001', 0);
  await service.database.query('set session_replication_role = origin');
  await verifyTrail(orm, { keys, progress: () => {} });
  await event('01900000-0000-7000-8000-000000000002', 90);
  await keepPartitions(orm, keys, 1, new Date(service.now().getTime() + 14 * 86_400_000));
}

/** The names of statements in the source; inserts are named after their tables. */
function namesInSource(): string[] {
  const folder = path.join(import.meta.dirname, '../../src');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const texts = files.map((file) => readFileSync(path.join(folder, file), 'utf8'));
  const named = (text: string) =>
    [...text.matchAll(/(?:statement|ownRead|ownPage|namedRead)<[^(]*>\(\s*'(\w+)'/g)].map(([, name]) => name!);
  const sweeps = (text: string) => [...text.matchAll(/\bdeleteFrom\('(\w+)'/g)].map(([, table]) => `sweep_${table}`);
  return texts.flatMap((text) => [...named(text), ...sweeps(text)]).sort();
}

test('each method costs the database no more statements than it must', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, env: { ...(await providerEnv()), AUTO_CONFIRM_EMAIL: 'on' } });
  await keepTrailUnsealed(service);
  const costs: Record<string, number> = {};
  await callEveryMethod(service, 'grpc', async ({ name, call }) => {
    const before = proxy.statements.length;
    await call();
    costs[name] = ofCalls(proxy.statements.slice(before)).length;
  });
  expect(Object.keys(costs).sort()).toEqual(Object.keys(most).sort());
  // Under serializable isolation a transaction may conflict with a job and run again.
  const times = process.env.ISOLATION ? 3 : 1;
  expect(Object.entries(costs).filter(([name, cost]) => cost > times * most[name]!)).toEqual([]);
});

test('named statements are prepared under their names, once per connection', async () => {
  const proxy = await startProxy();
  const prepared = new Map<string, string>();
  const look: Interceptor = (next) => async (req) => {
    const answer = await next(req);
    const list = 'select name, statement from pg_prepared_statements';
    for (const each of await req.contextValues.get(kWork)!.reads().execute<{ name: string; statement: string }[]>(list))
      prepared.set(each.name, each.statement);
    return answer;
  };
  const service = await start({
    databaseUrl: proxy.url,
    env: { ...(await providerEnv()), ...env, DATABASE_POOL_SIZE: '1' },
    inner: [look],
  });
  await useEverything(service, proxy);
  // The names of these are composed.
  const sent = new Set(
    proxy.statements.map(({ name }) => name).filter((name) => !/^(insert_|users_by_|caller_lock|$)/.test(name)),
  );
  // A heartbeat that is not confirmed needs a cluster of its own: test/session/outage.test.ts sends both.
  // A replica releases its leases when it stops.
  // Shares of hashes are read with HIDE_REGISTRATION only, users with a pepper are counted by a command, and a redemption
  // reads an attempt again when another one was faster: test/device/device-races.test.ts. The lease of a mail is extended
  // while its attempt lasts: test/mail/window.test.ts. An import corrects the providers of users where other users have their
  // identities: test/import/hostile.test.ts.
  const elsewhere =
    /^heartbeat|^leases_release$|^hash_shares_|^users_with_pepper$|^login_attempt_read$|^mail_extend_leases$|^users_import_providers$/;
  const here = namesInSource().filter((name) => !elsewhere.test(name));
  const used = [...sent].filter((name) => !elsewhere.test(name)).sort();
  expect(used, 'every statement of the source was used').toEqual(here);
  for (const name of ['session_rotate', 'session_states', 'rate_limit_count', 'insert_sessions', 'insert_users'])
    expect(prepared.get(name), name).toMatch(/\$1\b/);
  expect(proxy.parsed('session_states'), 'on the only connection').toBe(1);
  expect(proxy.statements.filter(({ name }) => name === 'session_states').length).toBeGreaterThan(5);
});

test('no secret is in the text of a statement, neither on the wire nor in pg_stat_activity', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, env: { ...(await providerEnv()), ...env } });
  await useEverything(service, proxy);
  const shown = await service.database.query<{ query: string }>(
    `select query from pg_stat_activity where datname = current_database() and application_name = 'gatehouse'`,
  );
  const texts = [...proxy.statements, ...shown.map(({ query }) => ({ text: query }))]
    .map(({ text }) => text)
    .join('\n');
  expect(texts).toContain('update sessions');
  const stored = await service.database.query<{ hash: string }>(
    `select encode(secret_hash, 'hex') as hash from sessions union select password_hash from users where password_hash is not null
     union select encode(private_sealed, 'hex') from signing_keys`,
  );
  expect(stored.length).toBeGreaterThan(6);
  for (const secret of [...stored.map(({ hash }) => hash), ada.password, '$argon2', 'ghr_', 'eyJ'])
    expect(texts.includes(secret), secret).toBe(false);
});

// Installations, projects and signing keys have few rows.
const seqScan =
  /Seq Scan on (users|sessions|audit_events|rate_limits|durable_rate_limits|accounts|memberships|subscriptions|account_invites|invite_codes|usage_counters|referrals|referral_codes|billing_events|request_ids|api_keys|login_attempts)\b/;
/Seq Scan on (users|sessions|audit_events|rate_limits|durable_rate_limits|accounts|memberships|subscriptions|account_invites|invite_codes|usage_counters|referrals|referral_codes|billing_events|request_ids|login_attempts|api_keys)\b/;

test('every statement finds its rows through an index, in tables of twenty thousand', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, env: { ...(await providerEnv()), ...env } });
  await populate(service.database);
  await useEverything(service, proxy);
  const isPlannable = ({ text }: SentStatement) =>
    /^\s*(select|insert|update|delete|with)\b.*\b(from|into|update)\b/is.test(text);
  const statements = new Map(proxy.statements.filter(isPlannable).map((each) => [each.name || each.text, each]));
  expect(statements.size).toBeGreaterThan(25);
  await service.database.query('analyze');
  const scans: string[] = [];
  for (const { name, text } of statements.values()) {
    const rows = await service.database.query<{ 'QUERY PLAN': string }>(
      `explain ${/\$1\b/.test(text) ? '(generic_plan) ' : ''}${text}`,
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    // The janitor's statements may read a small table whole, and a count reads all users up to its bound.
    if (name.startsWith('sweep_') || name === 'users_count') continue;
    if (seqScan.test(plan)) scans.push(`${name || text}\n${plan}`);
  }
  expect(scans).toEqual([]);
}, 60_000);
