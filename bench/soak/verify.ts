import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import * as actions from './actions.ts';
import { introspect } from './actions.ts';
import type { Scene } from './faults.ts';
import type { Person } from './person.ts';

/** Compares what was acknowledged with what the service responds, with the tables, and with the audit trail. */
export async function verify(scene: Scene, env: Record<string, string>): Promise<void> {
  const { people, findings } = scene;
  // The tables first: what follows writes.
  await compareUsers(scene);
  await compareSessions(scene);
  await compareAccounts(scene);
  await compareEvents(scene);
  let verified = 0;
  const queue = [...people];
  const work = async () => {
    for (let person = queue.pop(); person; person = queue.pop()) {
      await askService(scene, person);
      if (++verified % 100 === 0) process.stderr.write(`${verified} of ${people.length} users verified\n`);
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  await verifyTrail(scene, env).catch((error: Error) => findings.violate(`audit verify: ${error.message}`));
}

/** The password signs in, live sessions refresh, and revoked ones do not. */
async function askService(world: Scene, person: Person): Promise<void> {
  await actions.signIn(world, person);
  for (const session of person.sessions) {
    if (session.state === 'live') await actions.refresh(world, person, session);
    if (session.state === 'unsure') continue;
    await introspect(world, session.accessToken, session.state === 'live', `session ${session.id} of ${person.email}`);
  }
  for (const key of person.keys) await introspect(world, key, true, `an API key of ${person.email}`);
  for (const session of person.sessions.filter(({ state }) => state === 'revoked')) {
    const { refreshToken } = session;
    const outcome = await world.calls.settle('Refresh', ({ sessions }, options) =>
      sessions.refresh({ refreshToken }, options),
    );
    if (outcome.kind === 'ok') world.findings.violate(`session ${session.id} was revoked, and was refreshed`);
  }
}

async function compareUsers({ database, people, findings }: Scene): Promise<void> {
  const rows = await database.query<{ id: string; email: string; used: string }>(
    `select u.id, u.email, coalesce(c.used, 0)::text as used from users u
     left join usage_counters c on c.subject = 'user:' || u.id and c.project_id = u.project_id`,
  );
  const stored = new Map(rows.map((row) => [row.id, row]));
  for (const { userId, email, used } of people) {
    const row = stored.get(userId);
    if (row?.email !== email) findings.violate(`user ${email} is missing`);
    else if (BigInt(row.used) !== used) findings.violate(`${email} has used ${used}, and the table has ${row.used}`);
  }
}

async function compareSessions({ database, people, findings }: Scene): Promise<void> {
  const rows = await database.query<{ id: string; revoked: boolean }>(
    'select id, revoked_at is not null as revoked from sessions',
  );
  const stored = new Map(rows.map(({ id, revoked }) => [id, revoked]));
  for (const { email, sessions } of people)
    for (const { id, state } of sessions) {
      const isRevoked = stored.get(id);
      if (isRevoked === undefined) findings.violate(`session ${id} of ${email} is missing`);
      else if (state !== 'unsure' && isRevoked !== (state === 'revoked'))
        findings.violate(`session ${id} of ${email} is ${state}, and the table has revoked = ${isRevoked}`);
    }
}

async function compareAccounts({ database, people, findings }: Scene): Promise<void> {
  const members = await database.query<{ account_id: string; user_id: string }>(
    'select account_id, user_id from memberships',
  );
  const invites = await database.query<{ id: string; used: boolean; revoked: boolean }>(
    'select id, used_at is not null as used, revoked_at is not null as revoked from account_invites',
  );
  const pairs = new Set(members.map(({ account_id, user_id }) => `${account_id} ${user_id}`));
  const stored = new Map(invites.map((row) => [row.id, row.used ? 'accepted' : row.revoked ? 'revoked' : 'pending']));
  for (const { email, userId, accountId, invites } of people) {
    if (!pairs.has(`${accountId} ${userId}`)) findings.violate(`${email} is no member of their account`);
    for (const { id, state } of invites)
      if (stored.get(id) !== state)
        findings.violate(`invitation ${id} is ${state}, and the table has ${stored.get(id)}`);
  }
}

/** Each acknowledged write has left its event, and just one. */
async function compareEvents({ database, people, findings }: Scene): Promise<void> {
  const rows = await database.query<{ key: string; count: number }>(
    `select action || ' ' || case when action = 'auth.register' then user_id else session_id end as key, count(*)::int
     from audit_events where result = 'SUCCESS' and action in ('auth.register', 'auth.login', 'session.revoke') group by 1`,
  );
  const counts = new Map(rows.map(({ key, count }) => [key, count]));
  const expectOne = (key: string) => {
    if (counts.get(key) !== 1) findings.violate(`the trail has ${counts.get(key) ?? 0} events '${key}'`);
  };
  for (const { userId, sessions } of people) {
    expectOne(`auth.register ${userId}`);
    for (const { id, openedBy, isRevokedByName } of sessions) {
      if (openedBy === 'sign-in') expectOne(`auth.login ${id}`);
      if (isRevokedByName) expectOne(`session.revoke ${id}`);
    }
  }
}

/** `audit verify`, once the events are sealed. */
async function verifyTrail({ database, findings }: Scene, env: Record<string, string>): Promise<void> {
  const giveUpAt = performance.now() + 60_000;
  const unsealed = 'select count(*)::int as count from audit_unsealed';
  for (;;) {
    const [{ count } = { count: 0 }] = await database.query<{ count: number }>(unsealed);
    if (count === 0) break;
    if (performance.now() > giveUpAt) return findings.violate(`${count} events have not been sealed for a minute`);
    await sleep(500);
  }
  const command = ['src/main.ts', 'audit', 'verify'];
  const { stdout } = await promisify(execFile)(process.execPath, command, { env: { ...process.env, ...env } });
  process.stdout.write(stdout);
  if (!/ {2}good {2}/.test(stdout)) findings.violate(`audit verify printed ${stdout}`);
}
