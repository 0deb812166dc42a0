import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startProxy } from '../support/proxy.ts';
import { start } from '../support/start.ts';

/** Seconds of the measurement, and statements a second of the jobs that run once a minute or less often. */
const measured = 20;
const rareJobs = 0.5;

test('two idle replicas send at most five statements a second together', async () => {
  const proxy = await startProxy();
  const env = { HEARTBEAT: 'on', MAIL_MODE: 'capture', HIDE_REGISTRATION: 'on' };
  await start({ replicas: 2, databaseUrl: proxy.url, env });
  await sleep(3000);
  const before = proxy.statements.length;
  await sleep(measured * 1000);
  const sent = proxy.statements.slice(before);
  const counts = Map.groupBy(sent, ({ name, text }) => name || text.slice(0, 60));
  const list = [...counts].map(([what, all]) => `${all.length} ${what}`).join('\n');
  expect(sent.length / measured + rareJobs, list).toBeLessThanOrEqual(5);
  expect(sent.length / measured, 'the replicas run').toBeGreaterThan(2);
});
