import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { smtpDelivery } from '../src/mail/transport.ts';
import { offer, percentile } from './generator.ts';
import { memoryOf, startChild } from './processes.ts';
import { fillQueue } from './queue.ts';
import { refresh } from './scenarios.ts';
import { masterKeys } from './seed.ts';
import type { Stage } from './stage.ts';

export interface Drained {
  readonly mails: number;
  /** Mails a second. */
  readonly rate: number;
  /** The same texts handed to the same server by nodemailer alone. */
  readonly limitRate: number;
  readonly ratio: number;
  /** Microseconds of CPU per mail. */
  readonly appCpu: number;
  readonly databaseCpu: number;
  /** Resident memory of the replica at the beginning and at the end, in MB. */
  readonly memory: { readonly before: number; readonly after: number };
  /** Milliseconds that refreshes take, before and while the queue is sent. */
  readonly refreshP99: { readonly calm: number; readonly draining: number };
}

const sender = { name: 'Gatehouse', address: 'no-reply@bench.example.org' };
const refreshesPerSecond = 50;

/** How fast a queue of mails is sent after an outage of the mail server, and how it affects calls. */
export async function measureMails(stage: Stage, mails: number): Promise<Drained> {
  process.stderr.write(`Mail: a queue of ${mails} ...\n`);
  const server = await startChild(['bench/smtp-server.ts'], {}, /^ready (\d+)/);
  const limitRate = await sendAlone(Number(server.ready), Math.min(mails, 2000));
  const mail = {
    FRONTEND_URL: 'https://bench.example.org',
    MAIL_MODE: 'smtp',
    SMTP_URL: `smtp://127.0.0.1:${server.ready}`,
    MAIL_FROM: sender.address,
  };
  const app = await stage.startApp(mail);
  const calls = await refresh.prepare(app.ready);
  const calm = await offer(calls.chain, 256, refreshesPerSecond, 3);
  const memoryBefore = memoryOf(app.pid);
  const before = stage.cpu(app);
  await fillQueue((text, values) => stage.database.query(text, values), masterKeys, new Date(), mails);
  const [draining] = await Promise.all([offer(calls.chain, 256, refreshesPerSecond, 3), untilEmpty(stage.database)]);
  const after = stage.cpu(app);
  const memory = { before: memoryBefore, after: memoryOf(app.pid) };
  calls.close();
  await app.stop();
  await server.stop();
  const rate = mails / (await secondsOf(stage.database));
  return {
    ...{ mails, rate, limitRate, ratio: rate / limitRate, memory },
    appCpu: ((after.app - before.app) / mails) * 1e6,
    databaseCpu: ((after.database - before.database) / mails) * 1e6,
    refreshP99: { calm: percentile(calm.latencies, 0.99), draining: percentile(draining.latencies, 0.99) },
  };
}

async function sendAlone(port: number, mails: number): Promise<number> {
  const delivery = smtpDelivery({ scheme: 'smtp', host: '127.0.0.1', port, auth: undefined }, sender);
  const letter = {
    subject: 'Your link to sign in',
    text: 'x'.repeat(300),
    html: 'x'.repeat(900),
    createdAt: new Date(),
  };
  const begun = performance.now();
  let next = 0;
  const send = async () => {
    for (let n = next++; n < mails; n = next++)
      await delivery.send({ ...letter, id: `${n}`, recipient: `p${n}@example.org` });
  };
  await Promise.all(Array.from({ length: 20 }, send));
  delivery.close();
  return mails / ((performance.now() - begun) / 1000);
}

async function untilEmpty(database: pg.Client): Promise<void> {
  for (;;) {
    const { rowCount } = await database.query(`select from mail_outbox where state = 'queued' limit 1`);
    if (rowCount === 0) return;
    await sleep(200);
  }
}

/** From the first mail sent to the last. */
async function secondsOf(database: pg.Client): Promise<number> {
  const { rows } = await database.query<{ seconds: number }>(
    `select extract(epoch from max(ended_at) - min(ended_at))::float8 as seconds from mail_outbox where state = 'sent'`,
  );
  return rows[0]!.seconds;
}
