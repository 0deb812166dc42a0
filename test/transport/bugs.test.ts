import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServiceImpl } from '@connectrpc/connect';
import { createClient } from '@connectrpc/connect';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { Refusal } from '../../src/errors.ts';
import { serveGrpc } from '../../src/grpc/adapter.ts';
import { createAdminServer } from '../../src/http/admin.ts';
import { connectGateway, type Gateway } from '../../src/http/connect.ts';
import { inProcess } from '../../src/http/in-process.ts';
import { listenHttp } from '../../src/http/listening.ts';
import { oauthEndpoints } from '../../src/http/oauth/endpoints.ts';
import { landingPages } from '../../src/http/pages/landing.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { supabaseSurface } from '../../src/http/supabase/surface.ts';
import { bugLog } from '../../src/rpc/bug.ts';
import { errors } from '../../src/rpc/connect-error.ts';
import { serve } from '../../src/rpc/services.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { send } from '../support/raw-http.ts';

const getMe = '/gatehouse.v1.AuthService/GetMe';
const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' };

interface Logged {
  readonly requestId: string;
  readonly bug: { readonly name: string; readonly frames: readonly string[] };
}

type Methods = Partial<ServiceImpl<typeof AuthService>>;

/** Every surface, in front of methods whose handlers are the test's, and what they log. */
async function open(auth: Methods) {
  const logged: Logged[] = [];
  const logBug = bugLog({ error: (line: Logged) => logged.push(line) } as never);
  const impls = [
    serve(MfaService, { getAssurance: () => ({}) } as never),
    serve(SessionService, {} as never),
    serve(DeviceService, devices),
  ];
  const services = [serve(AuthService, auth as ServiceImpl<typeof AuthService>), ...impls];
  const shutdownSignal = new AbortController().signal;
  const options = { interceptors: [errors(logBug)], proxyHops: 0, shutdownSignal, logBug };
  const callOnBehalf = inProcess(services, options);
  const gateway = connectGateway(services, { ...options, refusesUnknownFields: true });
  const server = createHttpServer({
    ...{ gateway, pages: sites(callOnBehalf, logBug), version: '0', readiness: () => 'ready', jwks: () => ({}) },
    cors: { origins: [], allowsLocalhost: false, publicUrl: 'http://localhost', onRefused: () => {} },
    passkeyOrigins: [],
  });
  await listenHttp(server, '127.0.0.1', 0);
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { logged, port, services, options, server };
}

const devices = {
  /** No duration and no code: what the endpoint makes of it is a bug. */
  requestDeviceCode: () => ({}),
  /** A message that cannot be written. */
  async *awaitLogin() {
    yield { state: 'no number' };
  },
} as never as ServiceImpl<typeof DeviceService>;

function sites(callOnBehalf: ReturnType<typeof inProcess>, logBug: ReturnType<typeof bugLog>): Gateway {
  const keys = new MasterKeys([{ id: 'k', key: Buffer.alloc(32, 1) }] as never);
  const settings = {
    ...{ appName: 'Gatehouse', appUrl: undefined, logoUrl: undefined, accentColor: '#0b57d0', passwordMinLength: 8 },
  };
  const project = { settings, redirects: {}, publishableKey: null };
  const projects = { find: async () => project, named: async () => project } as never;
  const [publicUrl, issuer, now] = ['http://localhost', 'http://localhost/auth/v1', () => new Date()];
  const shared = { callOnBehalf, keys, now, projects, publicUrl, issuer, proxyHops: 0, logBug };
  const clients = [{ id: 'tool', secretHash: undefined }] as never;
  const oauth = oauthEndpoints({ ...shared, clients, clientSecrets: { try: async (_, find) => find() } });
  const supabase = supabaseSurface({ ...shared, jwks: () => ({ keys: [] }), metadata: {}, apiKeys: [] });
  const claimAction = async () => true;
  const about = {
    language: 'en',
    requiresInviteCode: false,
    trustedDeviceDays: undefined,
    ownSheet: undefined,
  } as const;
  const pages = landingPages({ ...shared, ...about, claimAction });
  return (req, res) => oauth(req, res) || supabase(req, res) || pages(req, res);
}

/** 64 bits cannot hold its seconds. */
const user = { createTime: { seconds: 1n << 70n, nanos: 0 } };

/** One line, with the request id of the response and the place of the bug. */
function expectLogged(logged: readonly Logged[], requestId: unknown, place: RegExp): void {
  expect(logged).toHaveLength(1);
  expect(logged[0]!.requestId).toBe(requestId);
  expect(logged[0]!.bug.frames.join('\n')).toMatch(place);
}

test('a response in JSON or protobuf that cannot be written is logged', async () => {
  const { port, logged } = await open({ getMe: () => ({ user }) });
  for (const type of ['json', 'proto']) {
    const headers = { 'content-type': `application/${type}` };
    const answer = await send(port, { path: getMe, body: type === 'json' ? '{}' : '', headers });
    expect(answer.status, type).toBe(500);
    expectLogged(logged.splice(0), answer.headers['x-request-id'], /protobuf/);
  }
});

test('a response over gRPC that cannot be written is logged', async () => {
  const { services, options, logged } = await open({ getMe: () => ({ user }) });
  const server = new Server();
  serveGrpc(server, services, options);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  onTestFinished(() => server.forceShutdown());
  const { transport, close } = grpcTransport(`127.0.0.1:${port}`);
  onTestFinished(close);
  const error = await createClient(AuthService, transport)
    .getMe({})
    .catch((thrown) => thrown);
  expect(error.code).toBe(13);
  expect(logged).toHaveLength(1);
  expect(logged[0]!.requestId).not.toBe('');
});

test('a message of a stream in JSON or protobuf that cannot be written is logged', async () => {
  const { port, logged } = await open({});
  for (const type of ['json', 'proto']) {
    const sent = type === 'json' ? '{}' : '';
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0, sent.length]), Buffer.from(sent)]);
    const headers = { 'content-type': `application/connect+${type}` };
    const answer = await send(port, { path: '/gatehouse.v1.DeviceService/AwaitLogin', body, headers });
    expect(answer.text, type).toContain('"code":"internal"');
    expect(answer.text, type).not.toContain('no number');
    expectLogged(logged.splice(0), answer.headers['x-request-id'], /protobuf/);
  }
});

test('metrics that cannot be read are logged', async () => {
  const lines: object[] = [];
  const admin = createAdminServer({
    scrape: () => Promise.reject(new TypeError('of a metric')),
    readiness: () => 'ready',
    log: { error: (line: object) => void lines.push(line) } as never,
  });
  await listenHttp(admin, '127.0.0.1', 0);
  onTestFinished(() => void admin.close());
  const answer = await send((admin.address() as AddressInfo).port, { method: 'GET', path: '/metrics' });
  expect([answer.status, answer.text]).toEqual([500, '']);
  expect(lines).toMatchObject([{ bug: { name: 'TypeError', message: 'of a metric' } }]);
});

test.each(['GET', 'POST'])('a bug in the code of a page is logged when it is requested by %s', async (method) => {
  // A page takes it for granted that there is a user.
  const { port, logged } = await open({ getMe: () => ({}) });
  const headers = { ...(method === 'POST' && form), cookie: 'gatehouse-access=x; gatehouse-browser=y' };
  const page = await send(port, { method, path: '/factors', headers, ...(method === 'POST' && { body: 'do=codes' }) });
  expect([page.status, page.headers['content-type']]).toEqual([500, 'text/html; charset=utf-8']);
  expect(page.text).not.toContain('TypeError');
  expectLogged(logged, page.headers['x-request-id'], /http\/pages\//);
});

test('a bug in an endpoint of OAuth or of /auth/v1 is logged', async () => {
  const { port, logged } = await open({ getMe: () => ({}) });
  const token = await send(port, { path: '/oauth2/device_authorization', headers: form, body: 'client_id=tool' });
  expect([token.status, token.json.error]).toEqual([500, 'server_error']);
  expectLogged(logged.splice(0), token.headers['x-request-id'], /http\/oauth\//);
  const bearer = { authorization: 'Bearer x' };
  const user = await send(port, { method: 'GET', path: '/auth/v1/user', headers: bearer });
  expect([user.status, user.json.error_code]).toEqual([500, 'unexpected_failure']);
  expectLogged(logged, user.headers['x-request-id'], /http\/supabase\//);
});

test('a bug of a method is logged once, and a refusal or a client that leaves is not logged', async () => {
  const { port, logged, server } = await open({
    getMe: () => {
      throw new TypeError('of the method');
    },
    getSettings: () => {
      throw new Refusal('SIGN_UP_DISABLED');
    },
  });
  const paths = [getMe, '/auth/v1/user', '/factors'];
  for (const [n, path] of paths.entries()) {
    const headers = { ...json, authorization: 'Bearer x', cookie: 'gatehouse-access=x' };
    const { status } = await send(
      port,
      path === getMe ? { path, body: '{}', headers } : { method: 'GET', path, headers },
    );
    expect([status, logged.length], path).toEqual([500, n + 1]);
  }
  logged.length = 0;
  await send(port, { path: '/gatehouse.v1.AuthService/GetSettings', body: '{}', headers: json });
  await send(port, { path: getMe, body: '{', headers: json });
  await send(port, { path: '/oauth2/token', headers: form, body: 'client_id=other' });
  await send(port, { path: '/sign-in', headers: { ...form, 'sec-fetch-site': 'cross-site' }, body: '' });
  for (const path of [getMe, '/oauth2/token', '/sign-in', '/auth/v1/token?grant_type=password']) {
    const headers = { ...(path.startsWith('/oauth2') || path === '/sign-in' ? form : json), 'content-length': 100 };
    const request = http.request({ port, method: 'POST', path, headers });
    request.on('error', () => {});
    request.write('x');
    const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
    request.destroy();
    await once(response, 'close');
  }
  // A response that begins now comes after what those requests have led to.
  await send(port, { path: '/gatehouse.v1.AuthService/GetSettings', body: '{}', headers: json });
  expect(logged).toEqual([]);
});
