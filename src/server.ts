import type { Server as HttpServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Interceptor, ServiceImplSpec } from '@connectrpc/connect';
import type { Server as GrpcServer } from '@grpc/grpc-js';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { createApp } from './app.ts';
import { AuditTrail } from './audit/trail.ts';
import type { Config } from './config/config.ts';
import { MasterKeys } from './crypto/master-keys.ts';
import { Certificates } from './crypto/tls-certificates.ts';
import { Autocommit } from './database/autocommit.ts';
import { type Clock, openClock } from './database/clock.ts';
import { Refusal } from './errors.ts';
import { grpcCredentials } from './grpc/credentials.ts';
import { HealthState } from './grpc/health.ts';
import { answerHttp1 } from './grpc/http1-answer.ts';
import { createGrpcServer, drainGrpc, listenGrpc, sendGoaway } from './grpc/server.ts';
import { createAdminServer } from './http/admin.ts';
import { connectGateway, type GatewayOptions } from './http/connect.ts';
import type { OriginRules } from './http/cors.ts';
import { inProcess } from './http/in-process.ts';
import { largestRequest } from './http/limits.ts';
import { closeAfterResponses, handOverHttp, listenHttp } from './http/listening.ts';
import { landingPages } from './http/pages/landing.ts';
import { logRefusedOrigins } from './http/refused-origins.ts';
import { createHttpServer } from './http/server.ts';
import { sweep } from './jobs/janitor.ts';
import { runInBackground } from './jobs/scheduler.ts';
import { inboxFolderIn, openMailService } from './mail/mail-service.ts';
import { beat } from './project/heartbeat.ts';
import { KeyRing, keyRefreshInterval, prepareInstallation } from './session/key-ring.ts';
import { Observation } from './telemetry/observation.ts';
import { authority } from './text/authority.ts';
import { Passwords } from './user/password.ts';

export interface ServerDeps {
  readonly config: Config;
  /** A database whose migrations have run. Closed by `stop`. */
  readonly orm: MikroORM;
  readonly log: Logger;
  /** Replaces the clock of the process, which is adjusted to the database's. */
  readonly clock?: Clock | undefined;
  /** Creates spans of calls. Undefined for no spans. */
  readonly tracer?: Tracer | undefined;
  /** Interceptors to run innermost, next to the methods. */
  readonly inner?: readonly Interceptor[];
}

export type RunningServer = Awaited<ReturnType<typeof startServer>>;

/** Starts one replica: its ports listen when the promise resolves. */
export async function startServer(deps: ServerDeps) {
  const { config, orm, log, inner = [] } = deps;
  const { app, ring, metrics, observe, now, adjust, certificates, post, trail } = await assemble(deps);
  app.interceptors.push(...inner);
  const health = new HealthState(app.services.map(({ service }) => service.typeName));
  observe(health);
  const isReady = () => health.isServing;
  const stopping = new AbortController();
  const { refusesUnknownFields, host } = config;
  const transport = {
    ...app,
    proxyHops: config.trustedProxyHops,
    refusesUnknownFields,
    shutdownSignal: stopping.signal,
  };
  const grpc = createGrpcServer({ ...transport, health, reflection: config.reflection, largestRequest });
  const gateway = connectGateway(app.services, transport);
  const pages = openPages(config, app.services, transport);
  const { version } = packageJson;
  const cors = originRules(config, log);
  const http = createHttpServer({ gateway, pages, cors, version, isReady, jwks: () => ring.jwks(), certificates });
  const admin = createAdminServer({ scrape: () => metrics.scrape(), isReady, inbox: post.inbox });
  const jobs = runInBackground(
    [
      { name: 'health', every: 1000, run: async () => health.set(await canServe(orm)) },
      { name: 'signing keys', every: keyRefreshInterval, run: () => ring.reload() },
      { name: 'certificates', every: 1000, run: async () => certificates?.look(now()) },
      { name: 'clock', every: 60_000, run: adjust },
      ...(config.heartbeat ? [{ name: 'heartbeat', every: 1000, run: () => beat(new Autocommit(orm)) }] : []),
      { name: 'janitor', every: 60_000, run: () => sweep(orm, now(), guestDays(config)) },
      { name: 'mail', every: 1000, run: async () => post.dispatcher?.run(), nudged: () => post.nudged() },
      { name: 'audit seals', every: 1000, run: () => trail.seal(now()) },
      { name: 'audit days', every: 300_000, run: () => trail.keepPartitions(now()) },
    ],
    log,
    (names) => metrics.countJobs(names),
  );
  const credentials = grpcCredentials(certificates, config.tls?.requireClientCertificates);
  // In this order: cluster pairs the ports 0 of several workers by the order in which each worker opens them.
  const grpcPort = await listenGrpc(grpc, host, config.grpcPort, credentials);
  const httpPort = await listenHttp(http, host, config.httpPort);
  answerHttp1(grpc, httpPort);
  const adminPort = config.adminPort === undefined ? undefined : await listenHttp(admin, host, config.adminPort);
  health.set(true);
  const grpcAddress = authority(host, grpcPort);
  const close = async () => {
    await Promise.all([post.close(), jobs.stop()]);
    await orm.close(true);
  };
  const stop = (options: StopOptions = {}) =>
    drain({ config, health, stopping, grpc, grpcAddress, http, admin, close, ...options });
  // `adminPort` is undefined when ADMIN_PORT is off, `certificates` without TLS.
  return { grpcPort, httpPort, adminPort, app, health, metrics, ring, certificates, stop };
}

function originRules({ corsOrigins: origins, environment, publicUrl }: Config, log: Logger): OriginRules {
  const allowsLocalhost = environment === 'development';
  return { origins, allowsLocalhost, publicUrl, onRefused: logRefusedOrigins(log) };
}

/** Creates everything behind the ports. */
async function assemble({ config, orm, log, clock, tracer }: ServerDeps) {
  const { now, adjust, error: clockError } = await chooseClock({ config, orm, log, clock });
  const certificates = config.tls && (await Certificates.open(config.tls, log, now()));
  const keys = new MasterKeys(config.masterKeys);
  await prepareInstallation(orm, keys, now());
  const ring = new KeyRing(orm, keys);
  const observation = new Observation(orm, now, tracer);
  const { metrics } = observation;
  const [passwords] = await Promise.all([Passwords.open(config.passwords, observation.aroundHash), ring.reload()]);
  const elapsed = clock && (() => clock().getTime());
  const countCalls: Parameters<typeof createApp>[0]['countCalls'] = (methods) => metrics.countCalls(methods);
  const post = openMail({ config, orm, log }, keys, now);
  if (post.dispatcher) metrics.watchMail(post.dispatcher);
  const { outbox } = post;
  const app = createApp({ config, orm, now, elapsed, keys, ring, passwords, outbox, log, tracer, countCalls });
  const trail = new AuditTrail(orm, keys, config.auditRetention);
  const observe = (health: HealthState) =>
    observation.watch({ health, passwords, ring, certificates, trail, clockError });
  return { app, ring, metrics, observe, now, adjust, certificates, post, trail };
}

function chooseClock({ config, orm, log, clock }: Pick<ServerDeps, 'config' | 'orm' | 'log' | 'clock'>) {
  if (clock) return { now: clock, adjust: async () => {}, error: () => undefined };
  return openClock(orm, config.clockOffset, (roundTrip) =>
    log.warn({ milliseconds: Math.round(roundTrip) }, 'the database responds too slowly to set the clock by it'),
  );
}

function openMail({ config, orm, log }: Pick<ServerDeps, 'config' | 'orm' | 'log'>, keys: MasterKeys, now: Clock) {
  // In development all processes of this machine show the same inbox; a test keeps its own.
  const inboxFolder = config.environment === 'development' ? inboxFolderIn(config.dataDir) : undefined;
  const onFault = (fault: object) => log.warn(fault, 'a mail was not taken');
  return openMailService({ settings: config.mail, keys, autocommit: new Autocommit(orm), now, onFault, inboxFolder });
}

/** Undefined where an application has pages of its own. */
function openPages(config: Config, services: readonly ServiceImplSpec[], transport: GatewayOptions) {
  if (!config.ownPages) return undefined;
  return landingPages({
    callOnBehalf: inProcess(services, transport),
    publicUrl: config.publicUrl,
    appUrl: config.appUrl,
    language: config.mail.locale,
    passwordMinLength: config.passwords.minLength,
    proxyHops: config.trustedProxyHops,
  });
}

export interface StopOptions {
  /** Other processes continue to serve the same ports, so no client has to find another replica. */
  readonly isReplaced?: boolean;
}

interface Draining extends StopOptions {
  readonly config: Config;
  readonly health: HealthState;
  readonly stopping: AbortController;
  readonly grpc: GrpcServer;
  readonly grpcAddress: string;
  readonly http: HttpServer;
  readonly admin: HttpServer;
  close(): Promise<void>;
}

/** Reports not ready, drains within the grace time, then closes. */
async function drain(draining: Draining): Promise<void> {
  const { config, health, stopping, grpc, http, admin, close, isReplaced = false } = draining;
  closeAfterResponses(http);
  if (!isReplaced) {
    health.retire();
    sendGoaway(grpc, draining.grpcAddress);
    await sleep(config.shutdownDelay * 1000);
  }
  health.close();
  const cutOff = setTimeout(() => stopping.abort(new Refusal('SHUTTING_DOWN')), config.shutdownGrace * 1000);
  await Promise.all([drainGrpc(grpc, stopping.signal), handOverHttp(http, stopping.signal)]);
  clearTimeout(cutOff);
  // Last: probes and metrics are served while the replica drains.
  admin.close();
  admin.closeAllConnections();
  // A database connection that a call never released must not keep the process from exiting.
  await Promise.race([close(), sleep(2000)]);
}

async function canServe(orm: MikroORM): Promise<boolean> {
  const options = { signal: AbortSignal.timeout(1000), inflightQueryAbortStrategy: 'cancel query' as const };
  const alive = orm.em.fork(options).execute('select 1');
  return alive.then(
    () => true,
    () => false,
  );
}

/** The longest life of the session of a guest, in days. */
function guestDays({
  sessions: {
    lifetimes: { web, native },
  },
}: Config): number {
  return Math.max(web.absolute, native.absolute) / 86_400;
}
