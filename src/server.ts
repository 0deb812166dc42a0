import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Interceptor, ServiceImplSpec } from '@connectrpc/connect';
import { Server as GrpcServer, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { Health } from '../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import packageJson from '../package.json' with { type: 'json' };
import { type App, createApp } from './app.ts';
import { runInBackground } from './background.ts';
import type { Config } from './config.ts';
import { type Clock, openClock } from './database/clock.ts';
import { Refusal } from './errors.ts';
import { createAdminServer } from './http/admin.ts';
import { connectGateway } from './http/connect.ts';
import { largestRequest } from './http/limits.ts';
import { createHttpServer } from './http/server.ts';
import { sweep } from './janitor.ts';
import { MasterKeys } from './master-keys.ts';
import { Observation } from './observation.ts';
import { serveGrpc } from './rpc/grpc.ts';
import { grpcCredentials } from './rpc/grpc-credentials.ts';
import { explainFaults } from './rpc/grpc-faults.ts';
import { HealthState, healthService } from './rpc/health.ts';
import { reflectionServices } from './rpc/reflection.ts';
import { serve } from './rpc/services.ts';
import { prepareInstallation } from './session/installation.ts';
import { KeyRing, keyRefreshInterval } from './session/key-ring.ts';
import { Certificates } from './tls/certificates.ts';
import { Passwords } from './user/password.ts';

export interface ServerDeps {
  readonly config: Config;
  /** A database whose migrations have run. Closed by `stop`. */
  readonly orm: MikroORM;
  readonly log: Logger;
  /** Instead of the clock of the process, set to the database's. */
  readonly clock?: Clock;
  /** Makes spans of calls; without it there are none. */
  readonly tracer?: Tracer | undefined;
  /** Interceptors to run innermost, next to the methods. */
  readonly inner?: readonly Interceptor[];
}

export type RunningServer = Awaited<ReturnType<typeof startServer>>;

/** Starts one replica: both ports listen when the promise resolves. */
export async function startServer({ config, orm, log, clock, tracer, inner = [] }: ServerDeps) {
  const { now, adjust } = clock ? { now: clock, adjust: async () => {} } : await openClock(orm, config.clockOffset);
  const certificates = config.tls && (await Certificates.open(config.tls, log, now()));
  const keys = new MasterKeys(config.masterKeys);
  await prepareInstallation(orm, keys, now());
  const ring = new KeyRing(orm, keys);
  const observation = new Observation(orm, now, tracer);
  const { metrics } = observation;
  const [passwords] = await Promise.all([Passwords.open(config.passwords, observation.aroundHash), ring.reload()]);
  const app = createApp({
    config,
    orm,
    now,
    elapsed: clock && (() => clock().getTime()),
    keys,
    ring,
    passwords,
    log,
    tracer,
    countCalls: (methods) => metrics.countCalls(methods),
  });
  app.interceptors.push(...inner);
  const health = new HealthState(app.services.map(({ service }) => service.typeName));
  const stopping = new AbortController();
  const grpc = createGrpcServer(app, health, config, stopping.signal);
  const gateway = connectGateway(app.services, { ...transportOptions(app, config), shutdownSignal: stopping.signal });
  const http = createHttpServer({
    gateway,
    corsOrigins: config.corsOrigins,
    version: packageJson.version,
    isReady: () => health.isServing,
    jwks: () => ring.jwks(),
    certificates,
  });
  const admin = createAdminServer({ scrape: () => metrics.scrape(), isReady: () => health.isServing });
  observation.watch({ health, passwords, ring, certificates });
  let isDraining = false;
  const jobs = runInBackground(
    [
      { name: 'health', every: 1000, run: async () => health.set((await canServe(orm)) && !isDraining) },
      { name: 'signing keys', every: keyRefreshInterval, run: () => ring.reload() },
      { name: 'certificates', every: 1000, run: async () => certificates?.look(now()) },
      { name: 'clock', every: 60_000, run: adjust },
      { name: 'janitor', every: 60_000, run: () => sweep(orm, now()) },
    ],
    log,
    (names) => metrics.countJobs(names),
  );
  const [grpcPort, httpPort, adminPort] = await Promise.all([
    listenGrpc(grpc, config, certificates),
    listenHttp(http, config.host, config.httpPort),
    config.adminPort === undefined ? undefined : listenHttp(admin, config.host, config.adminPort),
  ]);
  health.set(true);
  return {
    grpcPort,
    httpPort,
    /** Undefined when ADMIN_PORT is off. */
    adminPort,
    app,
    ring,
    /** Undefined without TLS. */
    certificates,
    /** Not ready, then drained within the grace time, then closed. */
    async stop(): Promise<void> {
      isDraining = true;
      health.set(false);
      await sleep(config.shutdownDelay * 1000);
      health.close();
      const cutOff = setTimeout(() => stopping.abort(new Refusal('SHUTTING_DOWN')), config.shutdownGrace * 1000);
      await Promise.all([drainGrpc(grpc, stopping.signal), drainHttp(http, stopping.signal)]);
      clearTimeout(cutOff);
      // Last, so that the draining can be watched.
      admin.close();
      admin.closeAllConnections();
      const closed = jobs.stop().then(() => orm.close(true));
      // A connection that its call never gave back must not keep the process from ending.
      await Promise.race([closed, sleep(2000)]);
    },
  };
}

function transportOptions(app: App, config: Config) {
  return { interceptors: app.interceptors, proxyHops: config.trustedProxyHops };
}

function createGrpcServer(app: App, health: HealthState, config: Config, shutdownSignal: AbortSignal): GrpcServer {
  // It writes to stderr what it does not like of a call's metadata: a bearer with one wrong letter, for example.
  setLogVerbosity(logVerbosity.NONE);
  const server = new GrpcServer({
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': largestRequest,
    'grpc.max_concurrent_streams': 100,
    // Clients come back after a while, and with them the balance between replicas.
    'grpc.max_connection_age_ms': 30 * 60_000,
    'grpc.max_connection_age_grace_ms': 30_000,
    'grpc.keepalive_time_ms': 60_000,
    interceptors: [explainFaults],
  });
  const foreign = [serve(Health, healthService(health)), ...(config.reflection ? reflection(app.services) : [])];
  serveGrpc(server, app.services, { ...transportOptions(app, config), shutdownSignal });
  serveGrpc(server, foreign, { interceptors: [], proxyHops: 0, shutdownSignal });
  return server;
}

function reflection(services: readonly ServiceImplSpec[]): ServiceImplSpec[] {
  const { v1, v1alpha } = reflectionServices([...services.map(({ service }) => service), Health]);
  return [serve(ServerReflection, v1), serve(ServerReflectionAlpha, v1alpha)];
}

async function canServe(orm: MikroORM): Promise<boolean> {
  const options = { signal: AbortSignal.timeout(1000), inflightQueryAbortStrategy: 'cancel query' as const };
  const alive = orm.em.fork(options).execute('select 1');
  return alive.then(
    () => true,
    () => false,
  );
}

function listenGrpc(server: GrpcServer, { host, grpcPort, tls }: Config, certificates?: Certificates): Promise<number> {
  const credentials = grpcCredentials(certificates, tls?.requireClientCertificates);
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${grpcPort}`, credentials, (error, port) => (error ? reject(error) : resolve(port)));
  });
}

async function listenHttp(server: HttpServer, host: string, port: number): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

// tryShutdown waits for as long as a client keeps a call open.
async function drainGrpc(server: GrpcServer, cutOff: AbortSignal): Promise<void> {
  const force = () => setTimeout(() => server.forceShutdown(), 100);
  cutOff.addEventListener('abort', force, { once: true });
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  cutOff.removeEventListener('abort', force);
}

async function drainHttp(server: HttpServer, cutOff: AbortSignal): Promise<void> {
  const force = () => setTimeout(() => server.closeAllConnections(), 100);
  cutOff.addEventListener('abort', force, { once: true });
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection that is kept alive becomes idle with its last answer, and would then stay for a minute.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  await closed;
  clearInterval(idle);
  cutOff.removeEventListener('abort', force);
}
