import cluster from 'node:cluster';
import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { createAdminServer } from '../http/admin.ts';
import { listenHttp } from '../http/listening.ts';
import { folderInbox } from '../mail/capture.ts';
import { inboxFolderIn } from '../mail/mail-service.ts';
import { WorkerPool } from './worker-pool.ts';

export interface PrimaryDeps {
  readonly config: Config;
  /** The embedded database; undefined when the configuration names another. Its migrations have run. */
  readonly embeddedUrl: string | undefined;
  readonly log: Logger;
}

/** Starts the workers of this replica, which serve, and the admin port for all of them. */
export async function startPrimary({ config, embeddedUrl, log }: PrimaryDeps) {
  // The workers share each listening socket, and the kernel gives a connection to whichever takes it.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  // JSON, the default, has no NaN, and metrics do.
  cluster.setupPrimary({ serialization: 'advanced' });
  const replaced = config.shutdownGrace + 3;
  const patience = { replaced, leaving: config.shutdownDelay + replaced };
  const env: Record<string, string> = embeddedUrl ? { DATABASE_URL: embeddedUrl } : {};
  const crew = new WorkerPool({ size: config.workers, env, patience, log });
  const { mail, environment, dataDir } = config;
  const isShown = mail.mode === 'capture' && environment === 'development';
  const inbox = isShown ? folderInbox(inboxFolderIn(dataDir)) : undefined;
  const admin = createAdminServer({ scrape: () => crew.scrape(), isReady: () => crew.isServing, inbox });
  const adminPort = config.adminPort === undefined ? undefined : await listenHttp(admin, config.host, config.adminPort);
  const ports = await crew.start();
  restartOnHangUp(() => crew.restart());
  const stop = async () => {
    await crew.stop();
    admin.close();
    admin.closeAllConnections();
  };
  return { ...ports, adminPort, stop };
}

/** Not at a terminal, where the signal says that it was closed, and ends us as it always did. */
function restartOnHangUp(restart: () => void): void {
  if (!isatty(0)) process.on('SIGHUP', restart);
}
