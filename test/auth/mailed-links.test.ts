import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ResetPasswordRequestSchema } from '../../gen/gatehouse/v1/auth_pb.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { send } from '../support/raw-http.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, type Clients, start, type TestService, type Wire, wires } from '../support/start.ts';

const newPassword = 'the second difference';
const pathOf = (method: string) => `/gatehouse.v1.AuthService/${method}`;

interface Link {
  readonly method: string;
  /** Requests it for this address. Returns the address that it is sent to, if that is another one. */
  readonly ask: (service: TestService, email: string) => Promise<string | undefined>;
  readonly use: (auth: Clients['auth'], token: string) => Promise<unknown>;
}

const auth = (service: TestService) => service.clients('json').auth;

const links: readonly Link[] = [
  {
    method: 'VerifyEmail',
    ask: async (service, email) => void (await auth(service).sendVerificationEmail({ email })),
    use: (auth, token) => auth.verifyEmail({ token }),
  },
  {
    method: 'ResetPassword',
    ask: async (service, email) => void (await auth(service).requestPasswordReset({ email })),
    use: (auth, token) => auth.resetPassword({ token, newPassword }),
  },
  {
    method: 'SignInWithMagicLink',
    ask: async (service, email) => void (await auth(service).requestMagicLink({ email })),
    use: (auth, token) => auth.signInWithMagicLink({ token }),
  },
  {
    method: 'ConfirmEmailChange',
    ask: async (service, email) => {
      const { as } = await service.signIn({ email, password: ada.password });
      await auth(service).updateMe({ email: `new.${email}`, currentPassword: ada.password }, as);
      return `new.${email}`;
    },
    use: (auth, token) => auth.confirmEmailChange({ token }),
  },
];

/** Creates a user for each kind of link, requests it and reads its token. */
async function sendAll(service: TestService) {
  const { admin } = service.clients('json');
  const sent: { link: Link; token: string }[] = [];
  for (const link of links) {
    const email = `${link.method.toLowerCase()}@example.org`;
    await admin.createUser({ email, password: ada.password }, asService);
    const elsewhere = await link.ask(service, email);
    sent.push({ link, token: await tokenFor(service, elsewhere ?? email) });
  }
  return sent;
}

/** Fetches a URL as a mail scanner or a prefetching browser does. */
async function visit(service: TestService, wire: Wire, verb: 'GET' | 'HEAD', path: string, token: string) {
  const { grpcPort, httpPort } = service.replicas[0]!;
  const message = encodeURIComponent(JSON.stringify({ token, newPassword }));
  const query = `?connect=v1&encoding=json&message=${message}&token=${encodeURIComponent(token)}`;
  if (wire === 'json') return (await send(httpPort, { method: verb, path: path + query })).status;
  const raw = new RawGrpc(grpcPort);
  const body = frame(toBinary(ResetPasswordRequestSchema, { $typeName: typeName, token, newPassword }));
  const { code } = await raw.call(path, verb === 'GET' ? body : Buffer.alloc(0), { ':method': verb });
  raw.session.destroy();
  return code;
}

const { typeName } = ResetPasswordRequestSchema;

describe.each(wires)('over %s', (wire) => {
  test('GET and HEAD requests with a token do not use it up', async () => {
    const service = await start();
    const sent = await sendAll(service);
    for (const { link, token } of sent)
      for (const verb of ['GET', 'HEAD', 'GET', 'HEAD'] as const) {
        const status = await visit(service, wire, verb, pathOf(link.method), token);
        if (wire === 'json') expect(status, `${verb} ${link.method}`).toBe(405);
        else expect(status, `${verb} ${link.method}`).not.toBe(0);
      }
    const used = 'select kind from one_time_tokens where used_at is not null or voided_at is not null';
    expect(await service.database.query(used)).toEqual([]);
    for (const { link, token } of sent) await link.use(service.clients(wire).auth, token);
    expect(await service.database.query(used)).toHaveLength(links.length);
  });

  test('a reset changes the password of the token’s user, even if the request names another user', async () => {
    const service = await start();
    const { as } = await service.welcome(bob);
    await service.clients('json').admin.createUser(ada, asService);
    const { user } = await service.signIn(bob);
    await auth(service).requestPasswordReset({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const { grpcPort, httpPort } = service.replicas[0]!;
    if (wire === 'json') {
      for (const named of [{ email: bob.email }, { userId: user.id }, { user: { id: user.id } }]) {
        const body = JSON.stringify({ token, newPassword, ...named });
        expect(await send(httpPort, { path: pathOf('ResetPassword'), body })).toMatchObject({ status: 400 });
      }
      await service.clients(wire).auth.resetPassword({ token, newPassword }, as);
    } else {
      // Two string fields that the message does not have: numbers 3 and 4.
      const named = [bob.email, user.id].map((value, n) =>
        Buffer.from([26 + 8 * n, value.length, ...Buffer.from(value)]),
      );
      const message = toBinary(ResetPasswordRequestSchema, { $typeName: typeName, token, newPassword });
      const bytes = Buffer.concat([message, ...named]);
      expect(fromBinary(ResetPasswordRequestSchema, bytes).$unknown).toHaveLength(2);
      const raw = new RawGrpc(grpcPort);
      const { code } = await raw.call(pathOf('ResetPassword'), frame(bytes), as.headers);
      raw.session.destroy();
      expect(code).toBe(0);
    }
    await service.clients(wire).auth.signIn({ email: ada.email, password: newPassword });
    await service.clients(wire).auth.signIn(bob);
    await service.clients(wire).auth.getMe({}, as);
  });

  test("no token with another user's id is accepted, and the token of the user still is", async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { user } = await service.welcome(bob);
    for (const { link, token } of await sendAll(service)) {
      const random = Buffer.from(token.slice('ghot_'.length), 'base64url').subarray(16);
      const bytes = Buffer.concat([Buffer.from(user.id.replaceAll('-', ''), 'hex'), random]);
      const forged = `ghot_${bytes.toString('base64url')}`;
      expect(forged).toHaveLength(token.length);
      const refusal = await refusalOf(link.use(auth, forged));
      expect(refusal.reason, link.method).toMatch(/^(VERIFICATION_TOKEN_INVALID|RESET_TOKEN_INVALID|OTP_EXPIRED)$/);
      await link.use(auth, token);
    }
  });

  test('no token is accepted for another purpose than its own', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { as, tokens } = await service.welcome();
    await service.signIn();
    const { nextPageToken } = await sessions.listSessions({ pageSize: 1 }, as);
    expect(nextPageToken).not.toBe('');
    const sent = await sendAll(service);
    const values = {
      page: nextPageToken,
      access: tokens.accessToken,
      refresh: tokens.refreshToken,
      ...Object.fromEntries(sent.map(({ link, token }) => [link.method, token])),
    };
    const takers: Record<string, (value: string) => Promise<unknown>> = {
      page: (pageToken) => sessions.listSessions({ pageToken }, as),
      access: (accessToken) => auth.getMe({}, bearer({ accessToken })),
      refresh: (refreshToken) => sessions.refresh({ refreshToken }),
      ...Object.fromEntries(links.map(({ method, use }) => [method, (token: string) => use(auth, token)])),
    };
    for (const [purpose, value] of Object.entries(values))
      for (const [taker, take] of Object.entries(takers).filter(([name]) => name !== purpose)) {
        const refusal = await refusalOf(take(value));
        const codes = [Code.Unauthenticated, Code.FailedPrecondition, Code.InvalidArgument];
        expect(codes, `${purpose} as ${taker}`).toContain(refusal.code);
      }
    for (const [purpose, value] of Object.entries(values)) await takers[purpose]!(value);
  });

  test('a password of ten million bytes is refused before the user is looked up', async () => {
    const service = await start({ env: { LIMITS: 'AuthService.SignIn=off' } });
    await service.clients('json').admin.createUser(ada, asService);
    const seen = [];
    for (const email of [ada.email, 'nobody@example.org']) {
      const call = () => service.clients(wire).auth.signIn({ email, password: 'x'.repeat(10_000_000) });
      seen.push(await refusalWithoutTrace(service.database, call));
    }
    expect(seen[0]).toMatchObject({ code: Code.ResourceExhausted, reason: 'REQUEST_TOO_LARGE' });
    expect(seen[1]).toEqual(seen[0]);
    const left = `select action from audit_events where action like 'auth.login%' union all select key from durable_rate_limits`;
    expect(await service.database.query(left)).toEqual([]);
  });
});
