import { type DescField, ScalarType, toBinary } from '@bufbuild/protobuf';
import { FieldOptionsSchema } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { methods, nameOf, pathOf } from '../support/contract.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { ada, asService } from '../support/people.ts';
import { send } from '../support/raw-http.ts';
import { prepareSamples } from '../support/samples.ts';
import { start } from '../support/start.ts';

// Sixty thousand characters each, chosen to make regular expressions for addresses, ids and names backtrack.
const size = 60_000;
const hostile: Record<string, string> = {
  letters: 'a'.repeat(size),
  'an address of brackets': `a@${'('.repeat(size)}`,
  'an address of quotes': `"${'"'.repeat(size)}"@example.org`,
  'an address of dots': `${'a.'.repeat(size / 2)}@example.org`,
  'an address of labels': `a@${'a.'.repeat(size / 2)}`,
  'an address of hyphens': `a@${'-'.repeat(size)}.org`,
  'a thousand addresses': 'a@example.org,'.repeat(size / 14),
  spaces: ' '.repeat(size),
  ats: '@'.repeat(size),
  'umlauts in the domain': `a@${'ü'.repeat(size / 4)}.org`,
  'combining marks': `a${'\u0301'.repeat(size / 4)}`,
  'letters that NFKC makes long': '\ufdfa'.repeat(size / 4),
  'dots only': '.'.repeat(size),
  'hexadecimal and hyphens': '00000000-'.repeat(size / 9),
  base64: 'ghr_'.padEnd(size, 'A'),
  'a token of dots': 'eyJ.'.repeat(size / 4),
};

test('no text in any field blocks the event loop for fifty milliseconds', async () => {
  const service = await start({ env: await providerEnv() });
  const sampleOf = await prepareSamples(service);
  const { httpPort } = service.replicas[0]!;
  const slow: Record<string, number> = {};
  const seen = new Set<string>();
  for (const method of methods)
    for (const field of method.input.fields.filter(isText)) {
      // One of each kind: fields with the same name and rules are handled alike.
      const kind = `${field.name} ${Buffer.from(toBinary(FieldOptionsSchema, field.proto.options!)).toString('hex')}`;
      if (seen.has(kind)) continue;
      seen.add(kind);
      const { request, headers } = await sampleOf(nameOf(method));
      const withText = (text: string) => () =>
        send(httpPort, {
          path: pathOf(method),
          headers: { ...headers },
          body: JSON.stringify({ ...request, [field.jsonName]: text }),
        });
      const limit = await slowed(50, withText('x'));
      for (const [what, text] of Object.entries(hostile)) {
        const busy = await leastBusy(withText(text), limit);
        if (busy > limit) slow[`${nameOf(method)} ${field.name}: ${what}`] = busy;
      }
    }
  expect(slow).toEqual({});
  expect(seen.size).toBeGreaterThan(7);
}, 60_000);

test('no user agent blocks the event loop for a quarter of a second', async () => {
  const service = await start();
  const { as } = await service.welcome();
  const { httpPort } = service.replicas[0]!;
  const signIn = {
    path: '/gatehouse.v1.AuthService/SignIn',
    body: JSON.stringify({ email: ada.email, password: ada.password }),
  };
  const agents = [
    'Mozilla/'.repeat(64),
    '('.repeat(512),
    'Android '.repeat(64),
    `Mozilla/5.0 (${'; '.repeat(250)}`,
    'a/1.'.repeat(128),
    ' '.repeat(512),
    '0'.repeat(8000),
    'Opera '.repeat(1000),
  ];
  const limit = await slowed(250, () => send(httpPort, { ...signIn, headers: { 'user-agent': 'Mozilla/5.0' } }));
  for (const agent of agents) {
    const signingIn = () => send(httpPort, { ...signIn, headers: { 'user-agent': agent } });
    expect(await leastBusy(signingIn, limit), agent.slice(0, 20)).toBeLessThanOrEqual(limit);
    const list = { path: '/gatehouse.v1.SessionService/ListSessions', headers: { ...as.headers }, body: '{}' };
    expect(await leastBusy(() => send(httpPort, list), limit), agent.slice(0, 20)).toBeLessThanOrEqual(limit);
  }
});

test('many cancelled calls open at most twice as many connections as the pool has, and all of them are closed', async () => {
  const service = await start({ env: { DATABASE_POOL_SIZE: '5' } });
  const { user } = await service.welcome();
  const release = await service.database.hold('select 1 from users where id = $1 for update', [user.id]);
  const connections = async () => {
    const sql = `select count(*)::int as count from pg_stat_activity where datname = $1 and application_name = 'gatehouse'`;
    return (await service.database.query<{ count: number }>(sql, [service.database.name]))[0]!.count;
  };
  const { admin } = service.clients('grpc');
  let most = 0;
  for (let round = 0; round < 10; round++) {
    const leaving = new AbortController();
    const calls = Array.from({ length: 20 }, () =>
      admin.banUser({ userId: user.id }, { ...asService, signal: leaving.signal }).catch(() => {}),
    );
    await service.database.blocked(1);
    leaving.abort();
    most = Math.max(most, await connections());
    await Promise.all(calls);
  }
  await release();
  // One further connection is for reads.
  expect(most).toBeLessThanOrEqual(13);
  await expect.poll(connections).toBeLessThanOrEqual(6);
  await admin.banUser({ userId: user.id }, asService);
});

function isText(field: DescField): boolean {
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING;
}

/** The limit in milliseconds, or on a slow machine ten times what an ordinary call costs. */
async function slowed(limit: number, ordinary: () => Promise<unknown>): Promise<number> {
  return Math.max(limit, 10 * (await leastBusy(ordinary, limit / 10)));
}

/**
 * The least of some measurements of how many milliseconds the event loop worked, or the first that is below `enough`: on a
 * machine that is busy with other things a harmless call takes long, too, now and then.
 */
async function leastBusy(call: () => Promise<unknown>, enough: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 25 && least > enough; i++) {
    const before = performance.eventLoopUtilization();
    await call();
    least = Math.min(least, performance.eventLoopUtilization(before).active);
  }
  return least;
}
