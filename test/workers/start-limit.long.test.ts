import { expect, test } from 'vitest';
import { workersOf } from '../support/child-processes.ts';
import { createDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';

test('a worker that hangs before it is loaded is killed after a minute and replaced', {
  timeout: 150_000,
}, async () => {
  const { url: DATABASE_URL } = await createDatabase();
  const service = await serve({ MASTER_KEYS: testEnv.MASTER_KEYS, DATABASE_URL, WORKERS: '2' });
  const before = workersOf(service);
  process.kill(before[0]!, 'SIGKILL');
  const starting = () => workersOf(service).filter((pid) => !before.includes(pid));
  await expect.poll(starting, { timeout: 10_000, interval: 20 }).toHaveLength(1);
  const [stopped] = starting();
  process.kill(stopped!, 'SIGSTOP');
  const killed = () => service.log().filter(({ msg }) => msg === 'a worker does not respond and is killed');
  await expect.poll(killed, { timeout: 75_000, interval: 500 }).toMatchObject([{ pid: stopped, seconds: 60 }]);
  const ready = () => service.log().filter(({ msg }) => msg === 'a worker is ready').length;
  await expect.poll(ready, { timeout: 20_000 }).toBe(3);
});
