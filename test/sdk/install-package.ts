import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
const bin = path.resolve('node_modules/.bin');
const environment = { ...process.env, PATH: [bin, process.env.PATH].join(path.delimiter) };

/** Runs a program to its end and gives what it printed. Fails with all it printed when it fails. */
export async function run(command: string, args: readonly string[], cwd = '.'): Promise<string> {
  const running = runFile(command, args, { cwd, env: environment, timeout: 30_000 });
  const { stdout } = await running.catch((error: { stdout: string; stderr: string }) => {
    throw new Error(`${command} ${args.join(' ')}\n${error.stdout}${error.stderr}`.slice(0, 5000));
  });
  return stdout;
}

export type Consumer = Awaited<ReturnType<typeof installPackage>>;

/**
 * Builds and packs the SDK, and installs the tarball into a project of its own, made from test/sdk/consumer. Without npm and
 * the registry: what the tarball depends on, and nothing else, is linked to where we have it ourselves.
 */
export async function installPackage() {
  const directory = mkdtempSync(path.join(tmpdir(), 'gatehouse-sdk-'));
  const at = (...names: string[]) => path.join(directory, ...names);
  await run('node', ['tools/build-sdk.ts', at('dist')]);
  const [{ filename }] = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', directory, at('dist')]));
  cpSync('test/sdk/consumer', at('app'), { recursive: true });
  writeFileSync(at('app/package.json'), JSON.stringify({ name: 'app', type: 'module', private: true }));
  const installed = at('app/node_modules/gatehouse');
  mkdirSync(installed, { recursive: true });
  await run('tar', ['-xzf', at(filename), '--strip-components=1', '-C', installed]);
  const manifest = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'));
  for (const name of [...Object.keys(manifest.dependencies), '@types/node']) link(name, at('app/node_modules', name));
  return {
    app: at('app'),
    tarball: at(filename),
    installed,
    manifest,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function link(name: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true });
  symlinkSync(path.resolve('node_modules', name), to);
}
