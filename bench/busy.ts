import { offer } from './generator.ts';
import { busySince, cpuTimes } from './processes.ts';
import { refresh } from './scenarios.ts';

/* Sends refreshes to the service at this address, enough to keep the machine about 80 % busy, until it is stopped. */
const target = 0.8;
const calls = await refresh.prepare(process.argv[2]!);
process.stdout.write('ready\n');
for (let rate = 200; ; ) {
  const start = cpuTimes();
  const { failures } = await offer(calls.chain, 512, rate, 1);
  if (failures > 0) throw new Error(`${failures} refreshes failed`);
  rate = Math.max(20, rate * Math.min(1.5, Math.max(0.67, target / busySince(start))));
}
