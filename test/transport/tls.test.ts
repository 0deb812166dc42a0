import { once } from 'node:events';
import { get } from 'node:http';
import { Agent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { Code } from '@connectrpc/connect';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import type { Certificates } from '../../src/crypto/tls-certificates.ts';
import { ada, asService, bob } from '../support/people.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { RawConnection } from '../support/raw-http.ts';
import { refusalOf } from '../support/refusal.ts';
import { authority, pairOf, pem, shakeHands, startMutually, startSecurely } from '../support/secure.ts';
import { bearer } from '../support/start.ts';

const nobody = { code: Code.Unauthenticated, reason: 'AUTHENTICATION_REQUIRED' };
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ok',
    (error) => error.code,
  );
const shown = (socket: TLSSocket | Error) => (socket as TLSSocket).getPeerCertificate().fingerprint256;

describe('with a certificate', () => {
  test('both ports speak TLS 1.2 and 1.3, nothing older, and the log has the expiry of the certificate', async () => {
    const service = await startSecurely();
    expect((await service.grpc().health.check({})).status).toBe(Status.SERVING);
    expect((await service.json().auth.signUpAnonymous({})).session).toBeDefined();
    for (const port of [service.grpcPort, service.httpPort]) {
      const outcomes: Record<string, unknown> = {};
      for (const version of ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const) {
        const only = {
          minVersion: version,
          maxVersion: version,
          ciphers: 'DEFAULT:@SECLEVEL=0',
          ALPNProtocols: ['h2'],
        };
        const socket = await shakeHands(port, { ...only, ...(port === service.httpPort && { ALPNProtocols: [] }) });
        outcomes[version] = socket instanceof Error ? 'refused' : socket.alpnProtocol || 'http/1.1';
      }
      const spoken = port === service.grpcPort ? 'h2' : 'http/1.1';
      expect(outcomes).toEqual({ 'TLSv1.1': 'refused', 'TLSv1.2': spoken, 'TLSv1.3': spoken });
    }
    const daysLeft = service.certificates!.daysLeft(new Date('2120-01-01T12:00:00Z'));
    expect(daysLeft).toBe(0.5);
    expect(service.told()).toEqual([
      expect.objectContaining({ msg: 'certificate loaded', daysLeft: expect.any(Number) }),
    ]);
  });

  test('a client that speaks another protocol is disconnected, and other clients are not affected', async () => {
    const service = await startSecurely();
    const old = service.grpc();
    await old.health.check({});
    const plain = await new RawGrpc(service.grpcPort).call('/grpc.health.v1.Health/Check', frame());
    expect(plain).toMatchObject({ headers: {}, code: undefined });
    await expect(once(get({ port: service.httpPort, path: '/livez' }), 'response')).rejects.toThrow();
    for (const port of [service.grpcPort, service.httpPort])
      for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\xff\xff'.padEnd(70_000, 'x'), '\0'.repeat(99)]) {
        const connection = await RawConnection.open(port);
        connection.write(Buffer.from(bytes, 'latin1'));
        expect(await connection.end(2000)).toMatchObject({
          closed: true,
          received: expect.not.stringContaining('HTTP'),
        });
      }
    expect((await old.health.check({})).status).toBe(Status.SERVING);
    expect((await service.json().auth.signUpAnonymous({})).session).toBeDefined();
  });
});

describe('where client certificates are required', () => {
  test.each(['', 'stranger', 'retired', 'server'])('the gRPC port refuses a client that shows %j', async (name) => {
    const service = await startMutually();
    const call = service.grpc(name || undefined).auth.signUpAnonymous({});
    expect(await codeOf(call)).toBe(Code.Unavailable);
    // Not even the settings of HTTP/2 are sent.
    const options = { ALPNProtocols: ['h2'], ...(name && pairOf(name)) };
    expect(await heardBy(service.grpcPort, options)).toBe('');
    expect(await service.database.query('select id from sessions')).toEqual([]);
    expect((await service.json().auth.signUpAnonymous({})).session, 'browsers are not asked').toBeDefined();
  });

  test('a listed name of any kind identifies a backend', async () => {
    const service = await startMutually();
    await service.grpc('backend').admin.createUser(ada);
    const { tokens } = await service.json().auth.signIn({ email: ada.email, password: ada.password });
    const { active } = await service.grpc('legacy').sessions.introspect({ token: tokens!.accessToken });
    expect(active).toBe(true);
    const actors = await service.database.query(
      `select actor_kind as kind, actor_id as id from audit_events where action = 'user.create'`,
    );
    expect(actors).toEqual([{ kind: 'service', id: 'spiffe://gatehouse.test/backend' }]);
  });

  test('a name that is not listed, or only looks like a listed one, identifies nobody, whatever headers are sent', async () => {
    const service = await startMutually();
    const headers = Object.fromEntries(
      ['x-client-cert', 'x-forwarded-client-cert', 'x-ssl-client-s-dn', 'x-service-name', 'ssl-client-subject-dn'].map(
        (name) => [name, 'Subject="CN=legacy-backend";URI=spiffe://gatehouse.test/backend;DNS=backend.internal'],
      ),
    );
    const clients = [service.grpc('unlisted'), service.grpc('crafty'), service.json()];
    for (const { sessions, admin } of clients) {
      expect(await refusalOf(sessions.introspect({ token: 'x' }, { headers }))).toMatchObject(nobody);
      expect(await refusalOf(admin.createUser(bob, { headers }))).toMatchObject(nobody);
    }
    expect((await clients[0]!.auth.signUpAnonymous({})).session, 'what is public is').toBeDefined();
  });

  test('a bearer token takes precedence, also an invalid one', async () => {
    const service = await startMutually();
    const { sessions, auth } = service.grpc('backend');
    const token = (await auth.signUpAnonymous({})).tokens!.accessToken;
    const told = async (options: object) => (await refusalOf(sessions.introspect({ token }, options))).reason;
    expect(await told(bearer({ accessToken: token }))).toBe('CALLER_NOT_ALLOWED');
    expect(await told({ headers: { authorization: 'Bearer ghs_wrong' } })).toBe('TOKEN_INVALID');
    expect(await told({ headers: { authorization: 'Basic YTpi' } })).toBe('TOKEN_INVALID');
    expect((await service.grpc('unlisted').sessions.introspect({ token }, asService)).active).toBe(true);
  });

  test('where users and backends may call, a certificate identifies a backend, which names its subject, and an access token a user', async () => {
    const service = await startMutually();
    const { accounts, auth } = service.grpc('backend');
    const subject = { case: 'fingerprint', value: 'machine-1' } as const;
    expect((await accounts.consumeUsage({ amount: 3, subject })).usage!.usage).toBe(3n);
    expect((await refusalOf(accounts.consumeUsage({ amount: 3 }))).fields).toEqual(['subject']);
    const { tokens } = await auth.signUpAnonymous({});
    expect((await accounts.consumeUsage({ amount: 4 }, bearer(tokens!))).usage!.usage).toBe(4n);
    expect(await refusalOf(service.grpc('unlisted').accounts.getUsage({ subject }))).toMatchObject(nobody);
  });

  test('a backend that calls on behalf of a user without an access token is not the caller', async () => {
    const { auth } = (await startMutually()).grpc('backend');
    expect(await refusalOf(auth.getMe({}))).toMatchObject(nobody);
    const { tokens } = await auth.signUpAnonymous({});
    expect((await auth.getMe({}, bearer(tokens!))).user).toMatchObject({ isAnonymous: true });
    expect((await auth.register({ ...ada })).user).toMatchObject({ email: ada.email });
  });

  test('no TLS session is resumed: each handshake verifies the certificate', async () => {
    const service = await startMutually();
    const sessions: Buffer[] = [];
    const options = { ...pairOf('backend'), ALPNProtocols: ['h2'] };
    const first = (await shakeHands(service.grpcPort, options)) as TLSSocket;
    first.on('session', (session) => sessions.push(session));
    await sleep(100);
    for (const session of sessions)
      expect(((await shakeHands(service.grpcPort, { ...options, session })) as TLSSocket).isSessionReused()).toBe(
        false,
      );
  });
});

test('where client certificates are optional, only a verified one identifies a backend', async () => {
  const service = await startMutually({ CLIENT_CERTIFICATES: 'optional' });
  const { tokens } = await service.grpc().auth.signUpAnonymous({});
  const token = tokens!.accessToken;
  for (const name of [undefined, 'stranger', 'retired', 'unlisted'])
    expect(await refusalOf(service.grpc(name).sessions.introspect({ token })), name).toMatchObject(nobody);
  for (const name of ['backend', 'legacy'])
    expect((await service.grpc(name).sessions.introspect({ token })).active, name).toBe(true);
});

describe('changed files', () => {
  test('apply from the next handshake on, and no call fails', async () => {
    const service = await startSecurely();
    const seen: string[] = [];
    const old = service.grpc(undefined, ({ fingerprint256 }) => seen.push(fingerprint256));
    const oldAgent = new Agent({ keepAlive: true, maxSockets: 1 });
    const oldJson = service.json(oldAgent);
    const load = keepCalling(() => {
      const once = service.grpc();
      const calls = [old.health.check({}), once.health.check({}).finally(once.close)];
      return Promise.all([...calls, oldJson.auth.signUpAnonymous({}), service.json().auth.signUpAnonymous({})]);
    });
    const [before] = await fingerprintsOf(service);
    service.secret.put({ 'tls.crt': pem('renewed.pem'), 'tls.key': pem('renewed.key') });
    await expect.poll(() => fingerprintsOf(service), { timeout: 5000 }).not.toContain(before);
    const { calls, failed } = await load.stop();
    expect(failed).toEqual([]);
    expect(calls).toBeGreaterThanOrEqual(10);
    expect(new Set(await fingerprintsOf(service)).size, 'both ports show the new one').toBe(1);
    await old.health.check({});
    expect(seen, 'one handshake, long ago').toEqual([before]);
    const [kept] = Object.values(oldAgent.freeSockets).flat() as unknown as TLSSocket[];
    expect(shown(kept!)).toBe(before);
    expect(service.told().map(({ msg }) => msg)).toEqual(['certificate loaded', 'certificate renewed']);
    oldAgent.destroy();
  });

  test.each<[what: string, files: Record<string, string | Buffer>, fault: string]>([
    ['garbage', { 'tls.crt': 'not a certificate' }, 'TLS_CERT holds no certificate in PEM'],
    ['half written', { 'tls.crt': pem('renewed.pem').subarray(0, 300) }, 'TLS_CERT ends within a certificate'],
    ['of another key', { 'tls.crt': pem('renewed.pem') }, 'TLS_KEY not the key of the certificate'],
    ['expired', { 'tls.crt': pem('expired.pem'), 'tls.key': pem('expired.key') }, 'TLS_CERT has expired'],
  ])('that are %s change nothing until they are valid', async (_, files, fault) => {
    const service = await startSecurely();
    const before = await fingerprintsOf(service);
    service.secret.put(files);
    await lookUntil(service, () => service.told().length > 1);
    expect(service.told()[1]).toMatchObject({ level: 40, msg: 'new certificate not used', fault });
    expect(await fingerprintsOf(service)).toEqual(before);
    service.secret.put({ 'tls.crt': pem('renewed.pem'), 'tls.key': pem('renewed.key') });
    await lookUntil(service, () => service.told().length > 2);
    expect(await fingerprintsOf(service)).not.toContain(before[0]);
    expect(service.told().map(({ msg }) => msg)).toEqual([
      'certificate loaded',
      'new certificate not used',
      'certificate renewed',
    ]);
  });

  test('replace the authorities for clients', async () => {
    const service = await startMutually();
    const old = service.grpc('legacy');
    const token = (await old.auth.signUpAnonymous({})).tokens!.accessToken;
    service.secret.put({ 'ca.crt': pem('stranger-authority.pem') });
    await lookUntil(service, () => service.told().length > 1);
    const introspect = (name: string) => codeOf(service.grpc(name).sessions.introspect({ token }));
    expect(await introspect('stranger')).toBe('ok');
    expect(await introspect('legacy')).toBe(Code.Unavailable);
    expect((await old.sessions.introspect({ token })).active, 'a connection that is open stays').toBe(true);
  });
});

/** The certificate that each port shows to a new client. */
async function fingerprintsOf({ grpcPort, httpPort }: { grpcPort: number; httpPort: number }): Promise<string[]> {
  const sockets = await Promise.all([shakeHands(grpcPort, { ALPNProtocols: ['h2'] }), shakeHands(httpPort)]);
  const found = sockets.map(shown);
  for (const socket of sockets) (socket as TLSSocket).destroy();
  return found;
}

/** Reads the files more often than the service does by itself. */
async function lookUntil({ certificates }: { certificates?: Certificates | undefined }, isDone: () => boolean) {
  const look = () => certificates!.look(new Date()).then(isDone);
  await expect.poll(look, { timeout: 5000, interval: 20 }).toBe(true);
}

/** All that a client receives until it is disconnected. */
async function heardBy(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority, ...options });
  let heard = '';
  socket.on('data', (data) => (heard += data));
  socket.on('error', () => {});
  await new Promise((resolve) => socket.on('close', resolve));
  return heard;
}

/** Repeats ten parallel calls until stopped. */
function keepCalling(call: () => Promise<unknown>) {
  let stopped = false;
  const result = { calls: 0, failed: [] as unknown[] };
  const loop = async () => {
    for (; !stopped; result.calls++) await call().catch((error) => result.failed.push(error));
  };
  const loops = Array.from({ length: 10 }, loop);
  const stop = async () => {
    stopped = true;
    await Promise.all(loops);
    return result;
  };
  onTestFinished(async () => void (await stop()));
  return { stop };
}
