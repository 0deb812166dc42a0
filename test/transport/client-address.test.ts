import { describe, expect, test } from 'vitest';
import { ada, asService } from '../support/people.ts';
import { send } from '../support/raw-http.ts';
import { refusalOf } from '../support/refusal.ts';
import { scrape } from '../support/scrape.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

/** By number of trusted proxies: X-Forwarded-For, and the client's address. Here every proxy is 127.0.0.1. */
const believed: Record<string, Record<string, string>> = {
  0: { '203.0.113.7': '127.0.0.1', '2001:db8::7': '127.0.0.1', '203.0.113.7, 198.51.100.1': '127.0.0.1' },
  1: {
    '203.0.113.7': '203.0.113.7',
    '6.6.6.6, 203.0.113.7': '203.0.113.7',
    '6.6.6.6,7.7.7.7 ,  203.0.113.7 ': '203.0.113.7',
    '2001:db8::7': '2001:db8::7',
    '2001:DB8:0:0:0:0:0:7': '2001:db8::7',
    '[2001:db8::7]:443': '2001:db8::7',
    '203.0.113.7:50000': '203.0.113.7',
    '::ffff:203.0.113.7': '203.0.113.7',
    'fe80::1%eth0': 'fe80::1',
    unknown: '127.0.0.1',
    '6.6.6.6, unknown': '127.0.0.1',
    '6.6.6.6,': '127.0.0.1',
    '203.0.113.7; drop table': '127.0.0.1',
    '999.0.113.7': '127.0.0.1',
    '0203.0.113.7': '127.0.0.1',
    '<script>': '127.0.0.1',
    [`${'6.6.6.6, '.repeat(500)}203.0.113.7`]: '203.0.113.7',
    ['x'.repeat(5000)]: '127.0.0.1',
  },
  2: {
    '203.0.113.7, 10.0.0.1': '203.0.113.7',
    '6.6.6.6, 203.0.113.7, 10.0.0.1': '203.0.113.7',
    '6.6.6.6, 2001:db8::7, 10.0.0.1': '2001:db8::7',
    '203.0.113.7': '203.0.113.7',
    'garbage, 10.0.0.1': '127.0.0.1',
  },
};

describe.each(wires)('over %s', (wire) => {
  test.each(Object.keys(believed))(
    'behind %s proxies the client’s address is the one that the outermost trusted proxy saw',
    async (hops) => {
      const service = await start({ env: { TRUSTED_PROXY_HOPS: hops } });
      const seen: Record<string, string> = {};
      for (const forwarded of Object.keys(believed[hops]!))
        seen[forwarded] = await addressSeen(service, wire, { 'x-forwarded-for': forwarded });
      expect(seen).toEqual(believed[hops]);
    },
  );

  test('an X-Forwarded-For that cannot be read is counted', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '1' } });
    const unread = async () => (await scrape(service.replicas[0]!)).value('gatehouse_forwarded_for_unread_total');
    for (const forwarded of ['203.0.113.7', '[2001:db8::7]:443'])
      await addressSeen(service, wire, { 'x-forwarded-for': forwarded });
    expect(await unread()).toBe(0);
    for (const forwarded of ['unknown', '6.6.6.6,', '999.0.113.7'])
      await addressSeen(service, wire, { 'x-forwarded-for': forwarded });
    expect(await unread()).toBe(3);
  });

  test('no other header changes the client’s address', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '1' } });
    const names = [
      'forwarded',
      'x-real-ip',
      'true-client-ip',
      'cf-connecting-ip',
      'x-client-ip',
      'x-forwarded',
      'x-originating-ip',
      'via',
    ];
    const headers = Object.fromEntries(names.map((name) => [name, name === 'forwarded' ? 'for=6.6.6.6' : '6.6.6.6']));
    expect(await addressSeen(service, wire, headers)).toBe('127.0.0.1');
  });

  test('a repeated header counts as one list', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '1' } });
    const headers = new Headers([
      ['x-forwarded-for', '203.0.113.7'],
      ['x-forwarded-for', '198.51.100.1'],
    ]);
    const { session } = await service.clients(wire).auth.signUpAnonymous({}, { headers });
    expect(session!.address).toBe('198.51.100.1');
  });

  test('a spoofed header does not give a client another budget', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '0', LIMITS: 'AuthService.SignIn=3' } });
    const tries = Array.from({ length: 6 }, (_, i) => reasonFor(service, wire, `203.0.113.${i}`));
    expect((await Promise.all(tries)).toSorted()).toEqual([
      ...Array(3).fill('INVALID_CREDENTIALS'),
      ...Array(3).fill('OVER_REQUEST_RATE_LIMIT'),
    ]);
  });

  test('behind a proxy each client has its own budget, and neither spoofed headers nor neighboring IPv6 addresses give it another', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '1', LIMITS: 'AuthService.SignIn=1' } });
    const reasons: Record<string, string | undefined> = {};
    const clients = [
      '203.0.113.7',
      '6.6.6.6, 203.0.113.7',
      '203.0.113.8',
      '2001:db8:1:2::1',
      '2001:db8:1:2:ffff::9',
      '2001:db8:1:3::1',
    ];
    for (const client of clients) reasons[client] = await reasonFor(service, wire, client);
    expect(reasons).toEqual({
      '203.0.113.7': 'INVALID_CREDENTIALS',
      '6.6.6.6, 203.0.113.7': 'OVER_REQUEST_RATE_LIMIT',
      '203.0.113.8': 'INVALID_CREDENTIALS',
      '2001:db8:1:2::1': 'INVALID_CREDENTIALS',
      '2001:db8:1:2:ffff::9': 'OVER_REQUEST_RATE_LIMIT',
      '2001:db8:1:3::1': 'INVALID_CREDENTIALS',
    });
  });

  test('audit events of successes and failures have the address that the proxy saw', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '1' } });
    await service.clients('json').admin.createUser(ada, asService);
    const { auth } = service.clients(wire);
    const headers = { 'x-forwarded-for': '6.6.6.6, 203.0.113.7', 'x-request-id': 'the-request' };
    await auth.signIn({ email: ada.email, password: ada.password }, { headers });
    await refusalOf(auth.signIn({ email: ada.email, password: 'wrong' }, { headers }));
    const rows = await service.database.query(
      `select action, address, request_id as id from audit_events where action like 'auth.%' order by action`,
    );
    const where = { address: '203.0.113.7', id: 'the-request' };
    expect(rows).toEqual([
      { action: 'auth.login', ...where },
      { action: 'auth.login_failed', ...where },
    ]);
  });
});

test('both protocols and all replicas share one budget', async () => {
  const service = await start({ replicas: 2, env: { LIMITS: 'AuthService.SignIn=3' } });
  const reasons = [
    await reasonFor(service, 'grpc', ''),
    await reasonFor(service, 'json', ''),
    await reasonFor(service, 'grpc', '', 1),
  ];
  expect(reasons).toEqual(Array(3).fill('INVALID_CREDENTIALS'));
  for (const wire of wires)
    for (const replica of [0, 1]) expect(await reasonFor(service, wire, '', replica)).toBe('OVER_REQUEST_RATE_LIMIT');
});

test('an empty header is ignored', async () => {
  const service = await start({ env: { TRUSTED_PROXY_HOPS: '1' } });
  const headers = { 'x-forwarded-for': '' };
  const path = '/gatehouse.v1.AuthService/SignUpAnonymous';
  const { json } = await send(service.replicas[0]!.httpPort, { path, body: '{}', headers });
  expect(json.session.address).toBe('127.0.0.1');
});

async function addressSeen(service: TestService, wire: Wire, headers: Record<string, string>): Promise<string> {
  const { session } = await service.clients(wire).auth.signUpAnonymous({}, { headers });
  return session!.address;
}

async function reasonFor(
  service: TestService,
  wire: Wire,
  forwarded: string,
  replica = 0,
): Promise<string | undefined> {
  const headers = forwarded ? { 'x-forwarded-for': forwarded } : {};
  const { auth } = service.clients(wire, replica);
  return (await refusalOf(auth.signIn({ email: 'nobody@example.org', password: 'wrong' }, { headers }))).reason;
}
