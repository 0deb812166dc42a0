import type { Server as HttpServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Interceptor } from '@connectrpc/connect';
import type { Server as GrpcServer } from '@grpc/grpc-js';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { type App, createApp } from './app.ts';
import { AuditTrail } from './audit/trail.ts';
import type { Config } from './config/config.ts';
import { projectDefaults } from './config/project-settings.ts';
import { keyChecksOf, MasterKeys } from './crypto/master-keys.ts';
import { Certificates } from './crypto/tls-certificates.ts';
import { Autocommit } from './database/autocommit.ts';
import { type Clock, openClock } from './database/clock.ts';
import { DatabaseHealth } from './database/health.ts';
import { Refusal } from './errors.ts';
import { grpcCredentials } from './grpc/credentials.ts';
import { HealthState } from './grpc/health.ts';
import { answerHttp1 } from './grpc/http1-answer.ts';
import { listenersOf, prepareSessions } from './grpc/listeners.ts';
import { createGrpcServer, drainGrpc, listenGrpc, sendGoaway } from './grpc/server.ts';
import { createAdminServer } from './http/admin.ts';
import { connectGateway, type Gateway, type GatewayOptions } from './http/connect.ts';
import type { OriginRules } from './http/cors.ts';
import { inProcess } from './http/in-process.ts';
import { largestRequest } from './http/limits.ts';
import { closeAfterResponses, drainHttp, handOverHttp, listenHttp } from './http/listening.ts';
import { oauthEndpoints } from './http/oauth/endpoints.ts';
import { metadataOf } from './http/oauth/metadata.ts';
import { landingPages } from './http/pages/landing.ts';
import { openSheet } from './http/pages/own-sheet.ts';
import { listenAdmin, naming } from './http/port-fault.ts';
import { logRefusedOrigins } from './http/refused-origins.ts';
import { createHttpServer } from './http/server.ts';
import { corsOfSurface, supabaseSurface } from './http/supabase/surface.ts';
import { backgroundJobs } from './jobs/jobs.ts';
import { Leases } from './jobs/leases.ts';
import { runInBackground } from './jobs/scheduler.ts';
import { inboxFolderIn, openMailService } from './mail/mail-service.ts';
import { joinInstallation, type Terms } from './project/installation.ts';
import { defaultProjectId } from './project/project.ts';
import { Projects } from './project/projects.ts';
import { bugLog, describeBug } from './rpc/bug.ts';
import { prepareContractRules } from './rpc/contract-rules.ts';
import { KeyRing, prepareInstallation } from './session/key-ring.ts';
import { Observation } from './telemetry/observation.ts';
import { authority } from './text/authority.ts';
import { ConnectionGate, type ConnectionRules, mostConnections } from './throttle/connection-gate.ts';
import { DecoyHashes } from './user/decoy-hashes.ts';
import { type HashFault, Passwords } from './user/password.ts';

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
  const parts = await assemble(deps);
  const { app, ring, metrics, observe, certificates, post, leases } = parts;
  app.interceptors.push(...inner);
  const health = new HealthState(app.services.map(({ service }) => service.typeName));
  const connections = new ConnectionGate(connectionRules(config));
  const database = new DatabaseHealth(orm);
  observe(health, connections, database);
  const readiness = () => health.readiness;
  const stopping = new AbortController();
  const { refusesUnknownFields, host } = config;
  const transport = {
    ...app,
    proxyHops: config.trustedProxyHops,
    refusesUnknownFields,
    shutdownSignal: stopping.signal,
    logBug: bugLog(log),
  };
  const grpc = createGrpcServer({ ...transport, health, reflection: config.reflection, largestRequest });
  const gateway = connectGateway(app.services, transport);
  const pages = openSites(parts, config, transport);
  const { version } = packageJson;
  const cors = originRules(config, log);
  const passkeyOrigins = config.relyingParty.origins.filter((each) => each.startsWith('http'));
  const jwks = () => ring.jwks();
  const http = createHttpServer({ gateway, pages, cors, version, readiness, jwks, passkeyOrigins, certificates });
  const admin = createAdminServer({ scrape: () => metrics.scrape(), readiness, inbox: post.inbox, log });
  const work = backgroundJobs({ ...parts, config, orm, health, database });
  const jobs = runInBackground(work, log, (names) => metrics.countJobs(names));
  const { grpcPort, httpPort, adminPort } = await listen({ config, certificates, connections, grpc, http, admin });
  health.set('ready');
  prepareRules(app, log, stopping.signal);
  const grpcAddress = authority(host, grpcPort);
  const close = async () => {
    await Promise.all([post.close(), jobs.stop()]);
    await app.flushKeyUses().catch(() => {});
    await leases.release().catch(() => {});
    await orm.close(true);
  };
  const stop = (options: StopOptions = {}) =>
    drain({ config, health, logins: app.logins, stopping, grpc, grpcAddress, http, admin, close, ...options });
  // `adminPort` is undefined when ADMIN_PORT is off, `certificates` without TLS.
  return { grpcPort, httpPort, adminPort, app, health, metrics, ring, certificates, stop };
}

/** Ready does not depend on it: a call that needs the rules before waits for them. */
function prepareRules({ services }: App, log: Logger, signal: AbortSignal): void {
  const requests = services.flatMap(({ service }) => service.methods.map(({ input }) => input));
  prepareContractRules(requests, signal).catch((error) => log.error({ bug: describeBug(error) }, 'a bug'));
}

interface Listening {
  readonly config: Config;
  readonly certificates: Certificates | undefined;
  readonly connections: ConnectionGate;
  readonly grpc: GrpcServer;
  readonly http: HttpServer;
  readonly admin: HttpServer;
}

async function listen({ config, certificates, connections, grpc, http, admin }: Listening) {
  const { host } = config;
  const credentials = grpcCredentials(certificates, config.tls?.requireClientCertificates);
  // In this order: cluster pairs the ports 0 of several workers by the order in which each worker opens them.
  const grpcListens = listenGrpc(grpc, host, config.grpcPort, credentials);
  const grpcPort = await naming('GRPC_PORT', authority(host, config.grpcPort), grpcListens);
  const httpListens = listenHttp(http, host, config.httpPort);
  const httpPort = await naming('HTTP_PORT', authority(host, config.httpPort), httpListens);
  answerHttp1(grpc, httpPort);
  prepareSessions(grpc);
  for (const each of [...listenersOf(grpc), http]) connections.guard(each);
  return { grpcPort, httpPort, adminPort: await listenAdmin(admin, config) };
}

function originRules({ corsOrigins: origins, environment, publicUrl }: Config, log: Logger): OriginRules {
  const allowsLocalhost = environment === 'development';
  return { origins, allowsLocalhost, publicUrl, onRefused: logRefusedOrigins(log), part: corsOfSurface };
}

function connectionRules({ database, connectionsPerAddress, trustedProxyHops }: Config): ConnectionRules {
  // All connections of a trusted proxy have its address.
  const perNetwork = trustedProxyHops > 0 ? 0 : connectionsPerAddress;
  return { most: mostConnections(database.poolSize), perNetwork };
}

/** Creates everything behind the ports. */
async function assemble({ config, orm, log, clock, tracer }: ServerDeps) {
  const { now, adjust, error: clockError } = await chooseClock({ config, orm, log, clock });
  const certificates = config.tls && (await Certificates.open(config.tls, log, now()));
  const keys = new MasterKeys(config.masterKeys);
  const issuer = await prepareInstallation(orm, keys, (em) => joinInstallation(em, keys, termsOf(config)), now());
  if (issuer !== config.issuer.value)
    log.warn({ issuer }, 'PUBLIC_URL is not set: access tokens have the issuer that the database has');
  const ring = new KeyRing(orm, keys);
  const tracing = tracer && (await import('./telemetry/traces/tracing.ts')).openTracing(tracer);
  const observation = new Observation(orm, now, tracing);
  const { metrics } = observation;
  const projects = new Projects(new Autocommit(orm), projectDefaults(config));
  const hashing = openPasswords(config, projects, observation, log);
  const [passwords] = await Promise.all([hashing, ring.reload(), projects.refresh()]);
  const elapsed = clock && (() => clock().getTime());
  const countCalls: Parameters<typeof createApp>[0]['countCalls'] = (methods) => metrics.countCalls(methods);
  const decoys = config.registration.hideRegistration
    ? await DecoyHashes.open(new Autocommit(orm), defaultProjectId, now())
    : undefined;
  const leases = new Leases(orm, log);
  const post = openMail({ config, orm, log }, keys, now, leases);
  if (post.dispatcher) metrics.watchMail(post.dispatcher);
  const { outbox } = post;
  const app = createApp({
    ...{ config, issuer, orm, now, elapsed, keys, projects, ring, passwords, decoys, outbox, tracing, countCalls },
    ...{ log, logBug: bugLog(log) },
  });
  const trail = new AuditTrail(orm, keys, config.auditRetention, leases.holder);
  const observe = (health: HealthState, connections: ConnectionGate, database: DatabaseHealth) =>
    observation.watch({
      ...{ health, connections, database, logins: app.logins },
      ...{ passwords, ring, certificates, trail, leases, clockError },
    });
  const parts = { app, issuer, keys, ring, metrics, observe, now, adjust, certificates };
  return { ...parts, post, trail, decoys, leases, projects };
}

function termsOf({ passwords, issuer }: Config): Terms {
  return { peppers: keyChecksOf(passwords.peppers), issuer };
}

function openPasswords(
  { passwords }: Config,
  projects: Projects,
  { aroundHash, metrics }: Observation,
  log: Logger,
): Promise<Passwords> {
  const minLengthOf = (projectId: string) => projects.of(projectId).settings.passwordMinLength;
  const onUnreadable = (fault: HashFault) => {
    metrics.resources.countUnreadable(fault.kind);
    log.error(fault, 'a stored password hash cannot be read');
  };
  return Passwords.open(passwords, minLengthOf, { around: aroundHash, onUnreadable });
}

function chooseClock({ config, orm, log, clock }: Pick<ServerDeps, 'config' | 'orm' | 'log' | 'clock'>) {
  if (clock) return { now: clock, adjust: async () => {}, error: () => undefined };
  return openClock(orm, config.clockOffset, (roundTrip) =>
    log.warn({ milliseconds: Math.round(roundTrip) }, 'the database responds too slowly to set the clock by it'),
  );
}

function openMail(
  { config, orm, log }: Pick<ServerDeps, 'config' | 'orm' | 'log'>,
  keys: MasterKeys,
  now: Clock,
  leases: Leases,
) {
  // In development all processes of this machine show the same inbox; a test keeps its own.
  const inboxFolder = config.environment === 'development' ? inboxFolderIn(config.dataDir) : undefined;
  const onFault = (fault: object) => log.warn(fault, 'a mail was not taken');
  const isMeasuring = () => leases.holds('mail queue');
  const autocommit = new Autocommit(orm);
  return openMailService({ settings: config.mail, keys, autocommit, now, onFault, isMeasuring, inboxFolder });
}

type SiteParts = Pick<Awaited<ReturnType<typeof assemble>>, 'app' | 'keys' | 'ring' | 'now' | 'issuer' | 'projects'>;

/** The endpoints of OAuth and, where no application has its own, the pages. Both call the methods. */
function openSites(
  { app, keys, ring, now, issuer, projects }: SiteParts,
  config: Config,
  transport: GatewayOptions,
): Gateway {
  const { publicUrl, trustedProxyHops: proxyHops, oauthClients: clients } = config;
  const callOnBehalf = inProcess(app.services, transport);
  const { clientSecrets, claimPageAction: claimAction } = app;
  const { logBug } = transport;
  const oauth = oauthEndpoints({ callOnBehalf, clients, clientSecrets, keys, issuer, publicUrl, proxyHops, logBug });
  const metadata = metadataOf({ issuer, publicUrl });
  const { publishableKeys: apiKeys } = config;
  const supabase = supabaseSurface({
    ...{ callOnBehalf, projects, now, metadata, issuer, apiKeys, proxyHops, logBug },
    jwks: () => ring.jwks(),
  });
  const surfaces: Gateway = (req, res) => oauth(req, res) || supabase(req, res);
  if (!config.ownPages) return surfaces;
  const { mail, trustedDeviceDays, pagesStylesheet, accounts } = config;
  const { requireInviteCode: requiresInviteCode } = accounts;
  const texts = { projects, language: mail.locale, requiresInviteCode, trustedDeviceDays };
  const serving = { keys, now, callOnBehalf, publicUrl, proxyHops, claimAction, logBug };
  const pages = landingPages({ ...serving, ...texts, ownSheet: openSheet(pagesStylesheet) });
  return (req, res) => surfaces(req, res) || pages(req, res);
}

export interface StopOptions {
  /** Other processes continue to serve the same ports, so no client has to find another replica. */
  readonly isReplaced?: boolean;
}

interface Draining extends StopOptions {
  readonly config: Config;
  readonly health: HealthState;
  readonly logins: App['logins'];
  readonly stopping: AbortController;
  readonly grpc: GrpcServer;
  readonly grpcAddress: string;
  readonly http: HttpServer;
  readonly admin: HttpServer;
  close(): Promise<void>;
}

/** Reports not ready, drains within the grace time, then closes. */
async function drain(draining: Draining): Promise<void> {
  const { config, health, logins, stopping, grpc, http, admin, close, isReplaced = false } = draining;
  closeAfterResponses(http);
  if (!isReplaced) {
    health.retire();
    sendGoaway(grpc, draining.grpcAddress);
    await sleep(config.shutdownDelay * 1000);
  }
  health.close();
  logins.close();
  const cutOff = setTimeout(() => stopping.abort(new Refusal('SHUTTING_DOWN')), config.shutdownGrace * 1000);
  // Without a delay, no client had a response that let go of it: to wait for each would only be slow.
  const leaveHttp = isReplaced || config.shutdownDelay > 0 ? handOverHttp : drainHttp;
  await Promise.all([drainGrpc(grpc, stopping.signal), leaveHttp(http, stopping.signal)]);
  clearTimeout(cutOff);
  // Last: probes and metrics are served while the replica drains.
  admin.close();
  admin.closeAllConnections();
  // A database connection that a call never released must not keep the process from exiting.
  await Promise.race([close(), sleep(2000)]);
}
