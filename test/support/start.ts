import { isDeepStrictEqual } from 'node:util';
import { type Client, type ConnectError, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import type { Tracer } from '@opentelemetry/api';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService, type Tokens } from '../../gen/gatehouse/v1/session_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { openOrm } from '../../src/database/orm.ts';
import { type RunningServer, startServer } from '../../src/server.ts';
import { type Check, Ledger } from './checks.ts';
import { createDatabase, type TestDatabase } from './database.ts';
import { grpcTransport } from './grpc-transport.ts';
import { ada, asService, grace, testEnv } from './people.ts';

export type Wire = 'grpc' | 'json';
export const wires = ['grpc', 'json'] as const;

export interface StartOptions {
  /** Settings beyond those of people.ts. */
  readonly env?: Record<string, string>;
  /** How many replicas share the database. */
  readonly replicas?: number;
  /** Seconds that the clock of a replica is ahead of the test's. */
  readonly clockSkew?: (replica: number) => number;
  /** Run innermost, next to the method: see race.ts. */
  readonly inner?: Interceptor[];
  /** Creates spans of the calls. */
  readonly tracer?: Tracer;
  /** The URL of the database for the replicas, when they use a proxy or another cluster. */
  readonly databaseUrl?: (database: TestDatabase) => string;
  /** Checks that are left out. */
  readonly skipChecks?: readonly Check[];
}

export interface Clients {
  readonly auth: Client<typeof AuthService>;
  readonly sessions: Client<typeof SessionService>;
  readonly accounts: Client<typeof AccountService>;
  readonly devices: Client<typeof DeviceService>;
  readonly mfa: Client<typeof MfaService>;
  readonly admin: Client<typeof AdminService>;
  readonly health: Client<typeof Health>;
}

const { config: usual } = readConfig(testEnv);

export type TestService = Awaited<ReturnType<typeof start>>;

/**
 * Starts the whole service, one or more replicas, on an empty database, and returns real clients for it. When the test
 * has finished, the checks of checks.ts run, and the replicas stop.
 */
export async function start(options: StartOptions = {}) {
  const ledger = new Ledger();
  const time = testClock();
  const { config } = readConfig({ ...testEnv, ...options.env });
  const { databaseUrl, tracer } = options;
  const isWarm = !databaseUrl && !tracer && isDeepStrictEqual(config.database, usual.database);
  const database = await createDatabase({ isWarm });
  const replicas: RunningServer[] = [];
  for (let i = 0; i < (options.replicas ?? 1); i++) {
    const orm = isWarm
      ? await database.lendOrm(config.database)
      : await openOrm(databaseUrl?.(database) ?? database.url, config.database);
    const skew = (options.clockSkew?.(i) ?? 0) * 1000;
    const clock = () => new Date(time.now().getTime() + skew);
    const log = pino({ level: config.logLevel }, { write: (line: string) => ledger.log(line) });
    replicas.push(await startServer({ config, orm, log, clock, tracer, inner: options.inner ?? [] }));
  }
  const wiring = replicas.map((replica) => wire(replica, ledger));
  const clients = (wire: Wire, replica = 0): Clients => wiring[replica % wiring.length]![wire];
  /** For methods that are known only at run time. */
  const transport = (wire: Wire, replica = 0): Transport => wiring[replica % wiring.length]!.transports[wire];
  onTestFinished(async () => {
    try {
      for (const { metrics } of replicas) ledger.metrics.push(await metrics.scrape());
      await ledger.check(database, wiring[0]!.grpc.health, options.skipChecks ?? []);
    } finally {
      for (const each of wiring) each.close();
      await Promise.all(replicas.map((each) => each.stop()));
    }
  });
  return { database, ledger, config, replicas, clients, transport, ...time, ...acquaintances(clients('json')) };
}

/** The first steps of most tests. They use JSON; the calls that a test is about use the wire of the test. */
function acquaintances({ auth, admin }: Clients) {
  const signIn = async (person: { email: string; password: string } = ada, header: Record<string, string> = {}) => {
    const { user, tokens, session, account } = await auth.signIn(person, { headers: header });
    return { user: user!, tokens: tokens!, session: session!, account: account!.account!, as: bearer(tokens!) };
  };
  return {
    signIn,
    /** Creates a user and signs them in. */
    async welcome(person: { email: string; password: string; name?: string; emailVerified?: boolean } = ada) {
      await admin.createUser(person, asService);
      return signIn(person);
    },
    /** Creates an operator and signs them in. */
    async operator(person: { email: string; password: string } = grace) {
      const { user } = await admin.createUser(person, asService);
      await admin.updateUser({ userId: user!.id, role: SystemRole.OPERATOR }, asService);
      return signIn(person);
    },
    async guest() {
      const { user, tokens, session } = await auth.signUpAnonymous({});
      return { user: user!, tokens: tokens!, session: session!, as: bearer(tokens!) };
    },
  };
}

/** The call options of a caller with these tokens. */
export function bearer({ accessToken }: Pick<Tokens, 'accessToken'> | { accessToken: string }) {
  return { headers: { authorization: `Bearer ${accessToken}` } };
}

function testClock() {
  let ahead = 0;
  return {
    now: () => new Date(Date.now() + ahead),
    /** Moves the time of all replicas. */
    pass(seconds: number) {
      ahead += seconds * 1000;
    },
  };
}

function wire({ grpcPort, httpPort }: RunningServer, ledger: Ledger) {
  const record = ledger.recorder();
  const grpc = grpcTransport(`127.0.0.1:${grpcPort}`, [record]);
  const json = createConnectTransport({
    baseUrl: `http://127.0.0.1:${httpPort}`,
    httpVersion: '1.1',
    interceptors: [record],
  });
  const transports: Record<Wire, Transport> = { grpc: grpc.transport, json };
  return { grpc: clientsOver(grpc.transport), json: clientsOver(json), transports, close: grpc.close };
}

export function clientsOver(transport: Transport): Clients {
  return {
    auth: createClient(AuthService, transport),
    sessions: createClient(SessionService, transport),
    accounts: createClient(AccountService, transport),
    devices: createClient(DeviceService, transport),
    mfa: createClient(MfaService, transport),
    admin: createClient(AdminService, transport),
    health: createClient(Health, transport),
  };
}

export type { ConnectError };
