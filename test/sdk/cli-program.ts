import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Interceptor } from '@connectrpc/connect';
import { onTestFinished } from 'vitest';
import { start } from '../support/start.ts';

export const ada = { email: 'ada@example.org', password: 'a difference engine', name: 'Ada', emailVerified: true };

/** The example program in a configuration directory of its own, and a signed-in user of the service. */
export async function prepare({ inner = [] as Interceptor[] } = {}) {
  const service = await start({ inner });
  const me = await service.welcome(ada);
  const directory = mkdtempSync(path.join(tmpdir(), 'gatehouse-cli-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'gatehouse/credentials.json');
  const env = {
    ...process.env,
    XDG_CONFIG_HOME: directory,
    GATEHOUSE_TOKEN: '',
    GATEHOUSE_ADDRESS: `127.0.0.1:${service.replicas[0]!.grpcPort}`,
  };
  const launch = (...args: string[]) => launchProgram(args, env);
  return {
    service,
    me,
    file,
    launch,
    run: (...args: string[]) => launch(...args).ended,
    env,
    ...decisions(service, me),
  };
}

/** The example program. `command` is run instead of it, for one in another language or on a terminal. */
export function launchProgram(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  [program, ...first]: readonly [string, ...string[]] = [process.execPath, 'examples/cli.mjs'],
) {
  const child = spawn(program, [...first, ...args], { env });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const reader = createInterface(child.stdout);
  reader.on('line', (line) => lines.push(line));
  const firstLine = new Promise<string>((resolve) => reader.once('line', resolve));
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const ended = new Promise<{ code: number | null; out: string[]; err: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, out: lines, err: errors })),
  );
  return { child, ended, code: async () => JSON.parse(await firstLine) as { user_code: string } };
}

function decisions(service: Awaited<ReturnType<typeof start>>, { as }: { as: { headers: Record<string, string> } }) {
  const { devices } = service.clients('json');
  return {
    approve: (userCode: string) => devices.approveDevice({ userCode }, as),
    deny: (userCode: string) => devices.denyDevice({ userCode }, as),
    signal: new AbortController().signal,
    clientName: 'a tool',
  };
}

export async function signIn({ launch, approve }: Pick<Awaited<ReturnType<typeof prepare>>, 'launch' | 'approve'>) {
  const login = launch('login', '--json');
  await approve((await login.code()).user_code);
  return login.ended;
}

/** The refresh token and the attempt id in the file, after its access token has expired. */
export function expire(file: string): { refreshToken: string; attemptId: string } {
  const stored = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...stored, expiresAt: 0 }));
  return stored;
}
