import path from 'node:path';
import { createInterface } from 'node:readline';

/* One side of bench/compare.ts: runs in the tree it measures, and uses that tree's own stage and scenarios. */
const { openStage } = await import(path.resolve('bench/stage.ts'));
const { scenarios, signIn, register, hashing } = await import(path.resolve('bench/scenarios.ts'));
const { saturate } = await import(path.resolve('bench/generator.ts'));

const method = process.argv[2]!;
const hashed = hashing?.(1) ?? [signIn(1), register(1)];
const scenario = [...scenarios, ...hashed].find(({ name }: { name: string }) => name.startsWith(method));
const stage = await openStage(10_000, scenario.env);
const prepared = await scenario.prepare(stage.grpc, stage.http);
console.log(JSON.stringify({ ready: true }));

for await (const line of createInterface({ input: process.stdin })) {
  const before = stage.cpu();
  const load = await saturate(prepared.chain, scenario.slots, Number(line));
  const after = stage.cpu();
  if (load.failures > 0) throw new Error(`${load.failures} of ${load.calls} calls failed`);
  const per = (seconds: number) => (seconds * 1e6) / load.calls;
  console.log(
    JSON.stringify({
      calls: load.calls,
      app: per(after.app - before.app),
      database: per(after.database - before.database),
    }),
  );
}
prepared.close();
await stage.close();
