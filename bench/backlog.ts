import { setTimeout as sleep } from 'node:timers/promises';
import { offer, percentile } from './generator.ts';
import { startChild } from './processes.ts';
import { fillQueue } from './queue.ts';
import { scenarios } from './scenarios.ts';
import { masterKeys } from './seed.ts';
import type { Stage } from './stage.ts';

export interface Backlog {
  readonly mails: number;
  /** Mails a second, while Introspect is called. */
  readonly rate: number;
  /** The p99 of Introspect in milliseconds in each round, with an empty queue and with a long one. */
  readonly introspectP99: { readonly calm: Float64Array; readonly draining: Float64Array };
  /** Of their medians. */
  readonly ratio: number;
}

const callsPerSecond = 100;
const introspect = scenarios.find(({ name }) => name === 'Introspect')!;

/** A queue as after hours without a mail server: how fast it is sent, and how it affects Introspect. */
export async function measureBacklog(stage: Stage, mails: number, rounds: number, seconds: number): Promise<Backlog> {
  process.stderr.write(`Backlog: a queue of ${mails} ...\n`);
  const server = await startChild(['bench/smtp-server.ts'], {}, /^ready (\d+)/);
  const app = await stage.startApp({
    FRONTEND_URL: 'https://bench.example.org',
    MAIL_MODE: 'smtp',
    SMTP_URL: `smtp://127.0.0.1:${server.ready}`,
    MAIL_FROM: 'no-reply@bench.example.org',
  });
  const { chain, close } = await introspect.prepare(app.ready);
  await offer(chain, 256, callsPerSecond, seconds);
  const p99s = async () => {
    const each = new Float64Array(rounds);
    for (let round = 0; round < rounds; round++)
      each[round] = percentile((await offer(chain, 256, callsPerSecond, seconds)).latencies, 0.99);
    return each.sort();
  };
  const calm = await p99s();
  const sent = async (): Promise<number> => {
    const { rows } = await stage.database.query<{ sent: number }>(
      `select count(*)::int as sent from mail_outbox where state = 'sent'`,
    );
    return rows[0]!.sent;
  };
  await fillQueue((text, values) => stage.database.query(text, values), masterKeys, new Date(), mails);
  // A queue grows over hours, in which the database does what filling it at once leaves to be done.
  for (const table of ['users', 'one_time_tokens', 'mail_outbox'])
    await stage.database.query(`vacuum analyze ${table}`);
  await stage.database.query('checkpoint');
  await sleep(seconds * 1000);
  const before = await sent();
  const startedAt = performance.now();
  const draining = await p99s();
  const rate = ((await sent()) - before) / ((performance.now() - startedAt) / 1000);
  close();
  await app.stop();
  await server.stop();
  return { mails, rate, introspectP99: { calm, draining }, ratio: percentile(draining, 0.5) / percentile(calm, 0.5) };
}
