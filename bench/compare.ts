import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

/*
 * npm run bench:compare -- COMMIT [METHOD ...]
 *
 * Holds this tree against an earlier commit: CPU per call of the service and of PostgreSQL, in interleaved rounds, so that
 * whatever else the machine does hits both. Prints the median of each side and their ratio.
 */
const [commit = '', ...wanted] = process.argv.slice(2);
if (commit === '') {
  console.error('usage: npm run bench:compare -- COMMIT [METHOD ...]');
  process.exit(2);
}
const methods = wanted.length > 0 ? wanted : ['Refresh', 'Introspect', 'GetSession', 'SignIn'];
const rounds = Number(process.env.ROUNDS ?? 5);

interface Cost {
  readonly calls: number;
  /** Microseconds per call. */
  readonly app: number;
  readonly database: number;
}

const earlier = mkdtempSync(path.join(tmpdir(), 'gatehouse-compare-'));
try {
  execFileSync('git', ['worktree', 'add', '--quiet', '--detach', '--force', earlier, commit]);
  symlinkSync(path.resolve('node_modules'), path.join(earlier, 'node_modules'));
  for (const method of methods) await compare(method);
} finally {
  execFileSync('git', ['worktree', 'remove', '--force', earlier]);
  if (existsSync(earlier)) rmSync(earlier, { recursive: true });
}

async function compare(method: string): Promise<void> {
  const sides = [await startSide(earlier, method), await startSide('.', method)] as const;
  const costs: [Cost[], Cost[]] = [[], []];
  // The first round of each side is warm-up: V8 compiles for some ten thousand calls.
  for (const side of sides) await side.measure(12);
  for (let round = 0; round < rounds; round++)
    for (const n of round % 2 === 0 ? [0, 1] : [1, 0]) costs[n]!.push(await sides[n]!.measure(3));
  for (const side of sides) await side.stop();
  const [before, after] = costs.map((each) => median(each.map(({ app, database }) => app + database)));
  const detail = costs.map((each) => `${median(each.map((c) => c.app))}+${median(each.map((c) => c.database))}`);
  console.log(
    `${method.padEnd(12)} ${detail[0]} -> ${detail[1]} us of service + PostgreSQL, ratio ${(after! / before!).toFixed(3)}`,
  );
}

async function startSide(tree: string, method: string) {
  const child = spawn(process.execPath, [path.resolve('bench/compare-side.ts'), method], {
    cwd: tree,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value as string);
  await next();
  return {
    async measure(seconds: number): Promise<Cost> {
      child.stdin!.write(`${seconds}\n`);
      return next();
    },
    async stop(): Promise<void> {
      child.stdin!.end();
      await new Promise((resolve) => child.once('exit', resolve));
    },
  };
}

function median(numbers: readonly number[]): number {
  return Math.round([...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!);
}
