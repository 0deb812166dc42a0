import { describe, expect, onTestFinished, test } from 'vitest';
import { grpcTransport } from '../support/grpc-transport.ts';
import { mailsTo, type ReadMail, tokenFor } from '../support/inbox.ts';
import { ofCalls } from '../support/methods.ts';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, clientsOver, type StartOptions, start, type TestService, wires } from '../support/start.ts';

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';
const safari =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1';
const home = '192.0.2.1';
const away = '198.51.100.7';
const subject = 'A new sign-in to your account';

type Wire = (typeof wires)[number];

/** Calls from an address with a user agent. Over gRPC each user agent needs its own channel, and the library adds its name. */
function callsFrom(service: TestService, wire: Wire, address: string, userAgent: string) {
  const options = { headers: { 'x-forwarded-for': address, ...(wire === 'json' && { 'user-agent': userAgent }) } };
  if (wire === 'json') return { ...service.clients(wire), options };
  const channel = { 'grpc.primary_user_agent': userAgent };
  const target = `127.0.0.1:${service.replicas[0]!.grpcPort}`;
  const { transport, close } = grpcTransport(target, [service.ledger.recorder()], channel);
  onTestFinished(close);
  return { ...clientsOver(transport), options };
}

/** A service behind a trusted proxy, with ada as a user. */
async function startWithAda(wire: Wire, options: StartOptions = {}) {
  const service = await start({ ...options, env: { TRUSTED_PROXY_HOPS: '1', MAIL_GAP: '0s', ...options.env } });
  const { user } = await service.clients(wire).admin.createUser(ada, asService);
  return {
    service,
    user: user!,
    from: (address: string, userAgent: string) => callsFrom(service, wire, address, userAgent),
    signIn(address: string, userAgent: string, person = ada) {
      const { auth, options } = callsFrom(service, wire, address, userAgent);
      return auth.signIn(person, options);
    },
    async follow(address: string, userAgent: string) {
      const { auth, options } = callsFrom(service, wire, address, userAgent);
      await auth.requestMagicLink({ email: ada.email });
      return auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) }, options);
    },
    notices: async (title = subject): Promise<ReadMail[]> =>
      (await mailsTo(service, ada.email)).filter((mail) => mail.subject === title),
  };
}

describe.each(wires)('over %s', (wire) => {
  test.each(['signIn', 'follow'] as const)(
    'after %s from another address with another user agent the user gets one mail with time, address and program',
    async (way) => {
      const { service, notices, ...ada } = await startWithAda(wire);
      await ada[way](home, firefox);
      expect(await notices(), 'no mail about the first').toEqual([]);
      await ada[way](home, safari);
      await ada[way](away, firefox);
      await ada[way](home, firefox);
      expect(await notices(), 'known by address or by user agent').toEqual([]);
      const { session } = await ada[way]('203.0.113.9', 'curl/8.5.0');
      const [notice, ...others] = await notices();
      expect(others).toEqual([]);
      expect(notice!.text).toContain('Address: 203.0.113.9\n');
      expect(notice!.text).toContain('Program: curl\n');
      const at = new Date(Number(session!.createTime!.seconds) * 1000);
      const time = new Intl.DateTimeFormat('en', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' }).format(at);
      expect(notice!.text).toContain(`Time: ${time} UTC\n`);
      expect(notice!.link, 'no link, so that users do not learn to click on one').toBe('');
      await ada[way]('203.0.113.9', 'another');
      await ada[way]('203.0.113.10', 'curl/8.5.0');
      expect(await notices()).toHaveLength(1);
      expect(await service.database.query(`select from mail_outbox where kind = 'new_device'`)).toHaveLength(1);
    },
  );

  test('revoked sessions count as known devices until their rows are deleted', async () => {
    const { service, signIn, notices } = await startWithAda(wire);
    const first = await signIn(home, firefox);
    const { sessions } = service.clients(wire);
    await sessions.signOut({ refreshToken: first.tokens!.refreshToken });
    await signIn(home, firefox);
    expect(await notices()).toEqual([]);
    await service.database.query('delete from sessions where id = $1', [first.session!.id]);
    await signIn(away, 'Firefox on Mars');
    await service.database.query(`update sessions set revoked_at = now() where address = $1`, [home]);
    await signIn(home, safari);
    expect(await notices()).toHaveLength(1);
    await service.database.query('delete from sessions');
    await signIn('203.0.113.9', 'curl/8.5.0');
    expect(await notices(), 'the first one again').toHaveLength(1);
  });

  test('a session in which an operator acts as the user is not a device of the user', async () => {
    const { service, user, from, signIn, notices } = await startWithAda(wire);
    const operator = await service.operator();
    const { admin, options } = from(away, firefox);
    const headers = { ...options.headers, ...operator.as.headers };
    await admin.impersonateUser({ userId: user.id }, { headers });
    await signIn(home, 'curl/8.5.0');
    expect(await notices(), 'the first session of their own').toEqual([]);
    await signIn(away, firefox);
    expect(await notices()).toHaveLength(1);
  });

  test('the session of a registration is a known device, and so is that of a guest who registers', async () => {
    const env = { AUTO_CONFIRM_EMAIL: 'on' };
    const { service, user, from, signIn, notices } = await startWithAda(wire, { env });
    await service.clients(wire).admin.deleteUser({ userId: user.id }, asService);
    const { auth, options } = from(home, firefox);
    const guest = await auth.signUpAnonymous({}, options);
    const elsewhere = from(away, firefox).options.headers;
    await auth.register(ada, { headers: { ...elsewhere, ...bearer(guest.tokens!).headers } });
    await signIn(home, firefox);
    expect(await notices(), 'the program of the guest').toEqual([]);
    await signIn(away, 'Firefox on Mars');
    expect(await notices(), 'the address of the registration').toEqual([]);
    await signIn('203.0.113.9', 'curl/8.5.0');
    expect(await notices()).toHaveLength(1);
  });

  test('the mail contains the user agent as plain words, in the user’s language', async () => {
    const { service, signIn, notices } = await startWithAda(wire);
    await signIn(home, firefox);
    await service.database.query(`update users set locale = 'de'`);
    await signIn(away, 'evil.example,call+1');
    const [notice] = await notices('Neue Anmeldung in Ihrem Konto');
    expect(notice!.text).toContain('Programm: evil example,call+1\n');
    expect(notice!.text).toContain(`Adresse: ${away}\n`);
  });

  test('a refused sign-in sends no mail, and MAIL_MODE=off enqueues none', async () => {
    const { signIn, notices } = await startWithAda(wire);
    await signIn(home, firefox);
    const wrong = { ...ada, password: 'a wrong one' };
    expect((await refusalOf(signIn(away, safari, wrong))).reason).toBe('INVALID_CREDENTIALS');
    expect(await notices()).toEqual([]);
    const quiet = await startWithAda(wire, { env: { MAIL_MODE: 'off' } });
    await quiet.signIn(home, firefox);
    await quiet.signIn(away, safari);
    expect(await quiet.service.database.query('select from mail_outbox')).toEqual([]);
  });
});

test('two clients without a user agent are not the same device', async () => {
  const { signIn, notices } = await startWithAda('json');
  await signIn(home, '');
  expect((await signIn(home, '')).session!.userAgent).toBe('');
  expect(await notices()).toEqual([]);
  await signIn(away, '');
  const [notice] = await notices();
  expect(notice!.text).toContain('Program: -\n');
});

// With serializable transactions one of the calls may be repeated, which costs further statements.
test.skipIf(process.env.ISOLATION)(
  'a sign-in costs the same statements with a new device as with a known one',
  async () => {
    const proxy = await startProxy();
    const { signIn, notices } = await startWithAda('grpc', { databaseUrl: proxy.url });
    const namesDuring = async (call: () => Promise<unknown>) => {
      const before = proxy.statements.length;
      await call();
      return ofCalls(proxy.statements.slice(before)).map(({ name, text }) => name || text);
    };
    const costs = ['sign_in_look_up', 'user_sign_in'];
    expect(await namesDuring(() => signIn(home, firefox))).toEqual(costs);
    expect(await namesDuring(() => signIn(away, safari))).toEqual(costs);
    expect(await notices()).toHaveLength(1);
  },
);

test('another address within the network of a live session is not a new device', async () => {
  const { signIn, notices } = await startWithAda('json');
  await signIn('2001:db8:0:1::1', firefox);
  await signIn('2001:db8:0:1:89ab:cdef:1234:5678', safari);
  expect(await notices()).toEqual([]);
  await signIn('2001:db8:ffff:1::1', 'an unknown program');
  expect(await notices()).toHaveLength(1);
});
