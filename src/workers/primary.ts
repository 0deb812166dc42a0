import cluster from 'node:cluster';
import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { createAdminServer } from '../http/admin.ts';
import { listenAdmin } from '../http/port-fault.ts';
import { WorkerPool } from './worker-pool.ts';

export interface PrimaryDeps {
  readonly config: Config;
  /** The embedded database, with its migrations run. Undefined when the configuration names a database. */
  readonly embeddedUrl: string | undefined;
  readonly log: Logger;
}

/** Starts the workers of this replica, and the admin port for all of them. */
export async function startPrimary({ config, embeddedUrl, log }: PrimaryDeps) {
  // The workers share each listening socket, and the kernel distributes the connections.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  // Metrics may contain NaN, which JSON, the default, cannot express.
  cluster.setupPrimary({ serialization: 'advanced' });
  const replaced = config.shutdownGrace + 3;
  const patience = { replaced, leaving: config.shutdownDelay + replaced };
  const env: Record<string, string> = embeddedUrl ? { DATABASE_URL: embeddedUrl } : {};
  const workers = new WorkerPool({ size: config.workers, env, patience, log });
  const inbox = await openDevelopmentInbox(config);
  const admin = createAdminServer({ scrape: () => workers.scrape(), readiness: () => workers.readiness, inbox, log });
  const adminPort = await listenAdmin(admin, config);
  const ports = await workers.start();
  restartOnHangUp(() => workers.restart());
  const stop = async () => {
    await workers.stop();
    admin.close();
    admin.closeAllConnections();
  };
  return { ...ports, adminPort, stop };
}

/** Its module imports the ORM, which a primary does without. */
async function openDevelopmentInbox({ mail, environment, dataDir }: Config) {
  if (mail.mode !== 'capture' || environment !== 'development') return undefined;
  const { inboxFolderIn, openInbox } = await import('../mail/mail-service.ts');
  return openInbox(mail, inboxFolderIn(dataDir));
}

/** At a terminal the signal means that it was closed, so there it still ends the process. */
function restartOnHangUp(restart: () => void): void {
  if (!isatty(0)) process.on('SIGHUP', restart);
}
