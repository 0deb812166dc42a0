import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { asService, pick, type World } from './actions.ts';
import type { DatabaseLink, SoakDatabase } from './database.ts';
import type { Person } from './person.ts';
import type { Replica } from './replica.ts';

export interface Scene extends World {
  readonly database: SoakDatabase;
  readonly links: readonly DatabaseLink[];
  readonly replicas: readonly Replica[];
  readonly people: readonly Person[];
}

/** Milliseconds between these bounds. */
function span(random: () => number, least: number, most: number): number {
  return least + random() * (most - least);
}

const newest = 'select id from users order by created_at desc limit 20';

const faults = {
  async 'replica killed (SIGKILL)'({ replicas, random }) {
    const replica = pick(replicas, random);
    await replica.end('SIGKILL');
    await sleep(span(random, 0, 2000));
    await replica.start();
  },
  async 'replica stopped (SIGTERM)'({ replicas, random }) {
    const replica = pick(replicas, random);
    await replica.end('SIGTERM');
    await replica.start();
  },
  async 'replica paused (SIGSTOP)'({ replicas, random }) {
    const replica = pick(replicas, random);
    replica.signal('SIGSTOP');
    await sleep(span(random, 100, 8000));
    replica.signal('SIGCONT');
  },
  async 'PostgreSQL stopped immediately'({ database }) {
    await database.crash('SIGQUIT');
  },
  async 'PostgreSQL killed (SIGKILL)'({ database }) {
    await database.crash('SIGKILL');
  },
  async 'PostgreSQL restarted'({ database }) {
    await database.restart();
  },
  async 'both replicas and PostgreSQL killed'({ database, replicas }) {
    await Promise.all([database.crash('SIGKILL'), ...replicas.map((each) => each.end('SIGKILL'))]);
    await Promise.all(replicas.map((each) => each.start()));
  },
  async 'a backend of PostgreSQL killed'({ database }) {
    const [backend] = await database.query<{ pid: number }>(
      `select pid from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend' limit 1`,
    );
    if (backend) process.kill(backend.pid, 'SIGKILL');
    // PostgreSQL then ends all connections and recovers.
    await sleep(200);
  },
  async 'connections reset'({ links, random }) {
    pick(links, random).cut();
  },
  async 'backends terminated'({ database }) {
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where pid <> pg_backend_pid() and backend_type = 'client backend' and random() < 0.5`,
    );
  },
  async 'statements canceled'({ database }) {
    await database.query(
      `select pg_cancel_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'`,
    );
  },
  async 'table locked'({ database, random }) {
    const table = pick(['users', 'sessions', 'usage_counters', 'audit_unsealed'], random);
    const release = await database.cluster.hold(database.name, `lock table ${table} in access exclusive mode`);
    await sleep(span(random, 200, 7000));
    await release();
  },
  async 'slow statement under a lock of users'({ database, random }) {
    const seconds = span(random, 0.2, 7).toFixed(1);
    const locking = `select pg_sleep(${seconds}) from (select 1 from users where id in (${newest}) for update) locked limit 1`;
    const release = await database.cluster.hold(database.name, locking);
    await release();
  },
  async 'rows of sessions locked'({ database, random }) {
    const release = await database.cluster.hold(
      database.name,
      `select 1 from sessions where user_id in (${newest}) order by id for update`,
    );
    await sleep(span(random, 200, 7000));
    await release();
  },
} satisfies Record<string, (scene: Scene) => Promise<void>>;

export type FaultName = keyof typeof faults;

export interface Injected {
  count: number;
  /** Milliseconds from the end of the fault until both replicas had written again. */
  readonly recoveries: number[];
}

/** Injects a fault each 10 to 30 s until the signal. */
export async function injectFaults(scene: Scene, signal: AbortSignal): Promise<Map<string, Injected>> {
  const { random, findings } = scene;
  const injected = new Map<string, Injected>();
  const names = Object.keys(faults) as FaultName[];
  for (;;) {
    await sleep(span(random, 10_000, 30_000), undefined, { signal }).catch(() => {});
    if (signal.aborted) return injected;
    const name = pick(names, random);
    await faults[name](scene).catch((error: Error) => findings.violate(`the fault '${name}' failed: ${error.message}`));
    const took = await untilRecovered(scene, name);
    const { count, recoveries } = injected.get(name) ?? { count: 0, recoveries: [] };
    injected.set(name, { count: count + 1, recoveries: [...recoveries, took] });
    process.stderr.write(`${name}: back after ${Math.round(took)} ms\n`);
  }
}

const longestRecovery = 30_000;

async function untilRecovered({ replicas, calls, findings }: Scene, name: string): Promise<number> {
  const startedAt = performance.now();
  for (const replica of replicas)
    for (;;) {
      const request = { amount: 1, subject: { case: 'fingerprint', value: randomUUID() } } as const;
      const outcome = await calls.once(
        'ConsumeUsage',
        ({ accounts }, options) => accounts.consumeUsage(request, { ...options, headers: asService }),
        replica,
      );
      if (outcome.kind === 'ok') break;
      if (performance.now() - startedAt > longestRecovery) {
        findings.violate(`${replica.name} has not recovered from '${name}' for ${longestRecovery / 1000} s`);
        break;
      }
      await sleep(50);
    }
  return performance.now() - startedAt;
}
