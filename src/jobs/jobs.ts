import type { MikroORM } from '@mikro-orm/postgresql';
import type { AuditTrail } from '../audit/trail.ts';
import type { Config } from '../config/config.ts';
import type { Certificates } from '../crypto/tls-certificates.ts';
import { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import type { DatabaseHealth } from '../database/health.ts';
import type { HealthState } from '../grpc/health.ts';
import type { MailService } from '../mail/mail-service.ts';
import { beat } from '../project/heartbeat.ts';
import type { Projects } from '../project/projects.ts';
import { type KeyRing, keyRefreshInterval } from '../session/key-ring.ts';
import { type DecoyHashes, lookInterval } from '../user/decoy-hashes.ts';
import { sweep } from './janitor.ts';
import type { Leases } from './leases.ts';
import { Poll } from './poll.ts';
import type { Job } from './scheduler.ts';

export interface JobDeps {
  readonly config: Config;
  readonly orm: MikroORM;
  readonly now: Clock;
  readonly adjust: () => Promise<void>;
  readonly health: HealthState;
  readonly database: DatabaseHealth;
  readonly ring: KeyRing;
  readonly projects: Projects;
  readonly certificates: Certificates | undefined;
  readonly decoys: DecoyHashes | undefined;
  readonly post: MailService;
  readonly trail: AuditTrail;
  readonly leases: Leases;
  readonly app: { flushKeyUses(): Promise<void> };
}

const second = 1000;
const minute = 60_000;

/** The background work of a process. What one process does for all is done by the holder of its lease. */
export function backgroundJobs(deps: JobDeps): Job[] {
  const { config, orm, now, adjust, certificates, decoys, post, trail, leases } = deps;
  const poll = new Poll(orm);
  const nudged = () => poll.announced();
  return [
    { name: 'health', every: second, run: () => look(poll, deps) },
    { name: 'leases', every: minute, nudged, run: () => keepLeases(poll, leases) },
    ...(config.heartbeat ? [heartbeat(poll, deps)] : []),
    signingKeys(poll, deps.ring),
    changedProjects(poll, deps.projects),
    // Nudged by this process's own mails, and by the poll.
    { name: 'mail', every: 10 * minute, run: async () => post.dispatcher?.run(), nudged: () => post.nudged() },
    {
      ...{ name: 'audit seals', every: minute, nudged, run: () => trail.seal(now()) },
      isWanted: () =>
        leases.holds('audit seals') && (!trail.isCurrent || poll.last.polled.isUnsealed || trail.backlog.count > 0),
    },
    {
      ...{ name: 'audit days', every: 5 * minute, run: () => trail.keepPartitions(now()) },
      isWanted: () => leases.holds('audit days'),
    },
    {
      ...{ name: 'janitor', every: minute, run: () => sweep(orm, now(), guestDays(config)) },
      isWanted: () => leases.holds('janitor'),
    },
    { name: 'uses of API keys', every: second, run: () => deps.app.flushKeyUses() },
    { name: 'certificates', every: second, run: async () => certificates?.look(now()) },
    { name: 'clock', every: minute, run: adjust },
    ...(decoys ? [{ name: 'hash shares', every: lookInterval, run: () => decoys.refresh(now()) }] : []),
  ];
}

/** Polls, sets the readiness, and wakes the jobs that have work. */
async function look(poll: Poll, { now, health, database, post, trail, leases }: JobDeps): Promise<void> {
  try {
    const polled = await poll.read(now(), trail.unseen(leases.holds('audit seals')));
    health.set(database.readiness(!polled.isReadOnly));
    const { dispatcher } = post;
    const isCounted = leases.holds('mail queue') && (polled.isMailQueued || dispatcher?.queue?.length !== 0);
    if (dispatcher && (polled.isMailDue || dispatcher.isBusy || isCounted)) post.wake();
  } catch (error) {
    health.set(database.readiness(false));
    throw error;
  } finally {
    poll.announce();
  }
}

async function keepLeases(poll: Poll, leases: Leases): Promise<void> {
  const { polled, readAt } = poll.last;
  if (polled.isReadOnly) return;
  if (await leases.keep(polled.leases, readAt)) poll.announce();
}

/** Beats also when the poll has failed: that may have been for another reason. */
function heartbeat(poll: Poll, { orm, database }: JobDeps): Job {
  const isDue = (): boolean => {
    try {
      return poll.last.polled.isBeatDue;
    } catch {
      return true;
    }
  };
  const run = () => database.beat(async () => (isDue() ? beat(new Autocommit(orm)) : undefined));
  return { name: 'heartbeat', every: 2 * second, nudged: () => poll.announced(), run };
}

/** Reads the keys again when one of them has changed. */
function signingKeys(poll: Poll, ring: KeyRing): Job {
  let known: string | undefined;
  const run = async (): Promise<void> => {
    const { signingKeys: current } = poll.last.polled;
    if (current === known) return;
    await ring.reload();
    known = current;
  };
  return { name: 'signing keys', every: keyRefreshInterval, nudged: () => poll.announced(), run };
}

/** Reads the projects that have changed. */
function changedProjects(poll: Poll, projects: Projects): Job {
  return {
    ...{ name: 'projects', every: minute, nudged: () => poll.announced(), run: () => projects.refresh() },
    isWanted: () => poll.last.polled.projectsRevision > projects.revision,
  };
}

/** The longest life of the session of a guest, in days. */
function guestDays({ sessions: { lifetimes } }: Config): number {
  return Math.max(lifetimes.web.absolute, lifetimes.native.absolute) / 86_400;
}
