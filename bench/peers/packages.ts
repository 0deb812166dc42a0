import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const here = import.meta.dirname;
const files = ['package.json', 'package-lock.json'];

/** The versions that are installed, by name. */
export const versions: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(path.join(here, 'package.json'), 'utf8'),
).dependencies;

/** Installs the peers outside the repository, unless they are, and returns the folder. */
export function installPeers(): string {
  const contents = files.map((name) => readFileSync(path.join(here, name)));
  const version = createHash('sha256').update(Buffer.concat(contents)).digest('hex').slice(0, 12);
  const caches = process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache');
  const dir = path.join(caches, 'gatehouse-bench-peers', version);
  if (existsSync(dir)) return dir;
  process.stderr.write(`installing ${Object.keys(versions).join(' and ')} in ${dir} ...\n`);
  const unfinished = `${dir}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  for (const name of files) copyFileSync(path.join(here, name), path.join(unfinished, name));
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', args, { cwd: unfinished, stdio: ['ignore', 'ignore', 'inherit'] });
  renameSync(unfinished, dir);
  return dir;
}

/** Imports a package of that folder. Its types are what the caller says, because the repository does not have it. */
export async function importPeer<Module>(dir: string, name: string): Promise<Module> {
  const file = createRequire(path.join(dir, 'package.json')).resolve(name);
  return import(pathToFileURL(file).href);
}
