import { expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { scrape } from '../support/scrape.ts';
import { startSink } from '../support/smtp-sink.ts';
import { start } from '../support/start.ts';

const patiently = { timeout: 15_000 };

test('a remote server without TLS receives nothing at any attempt, and the mail stays queued', async () => {
  const sink = await startSink();
  // 0.0.0.0 leads to this machine, but is not recognized as local.
  const service = await start({ env: { ...sink.env, SMTP_URL: `smtp://0.0.0.0:${sink.port}` } });
  await service.clients('json').auth.register(ada);
  const retried = async () => (await scrape(service.replicas[0]!)).by('outcome', 'gatehouse_mails_total').retried;
  for (let tried = 1; tried <= 3; tried++) {
    await expect.poll(retried, patiently).toBe(tried);
    service.pass(3600);
  }
  const waits = `select from mail_outbox where state = 'queued' and sealed is not null`;
  expect(await service.database.query(waits)).toHaveLength(1);
  expect(sink.state.tries, 'no recipient was sent').toBe(0);
  expect(sink.mails).toEqual([]);
});
