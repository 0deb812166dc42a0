import { randomBytes } from 'node:crypto';
import { fastestDerive } from '../src/user/password-hash.ts';

/* The limit that SignIn is compared with: hashes and nothing else, `slots` at a time. Prints hashes per second. */
const [slots = 2, seconds = 2] = process.argv.slice(2).map(Number);
const derive = await fastestDerive();
const password = Buffer.from('the password of benchmarks');
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
let done = 0;
const endsAt = performance.now() + seconds * 1000;
const run = async (): Promise<void> => {
  for (; performance.now() < endsAt; done++) await derive(password, randomBytes(16), cost);
};
const startedAt = performance.now();
await Promise.all(Array.from({ length: slots }, run));
process.stdout.write(`rate ${(done / (performance.now() - startedAt)) * 1000}\n`);
