#!/usr/bin/env node
import { parseArgs } from 'node:util';
import packageJson from '../package.json' with { type: 'json' };
import { ConfigFaults, inProduction, loadConfig } from './config/config.ts';
import { helpText } from './config/help.ts';

// The id of a signing key has 43 characters of base64url, and the first may be a dash.
const args = process.argv.slice(2).flatMap((arg) => (/^-[\w-]{42}$/.test(arg) ? ['--', arg] : arg));
const options = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  force: { type: 'boolean' },
  unverified: { type: 'boolean' },
  create: { type: 'boolean' },
  head: { type: 'string', multiple: true },
} as const;

// The reader of the output may be gone, as with `gatehouse --help | head -1`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
  if (values.help) process.stdout.write(`${helpText()}\n`);
  else if (values.version) process.stdout.write(`gatehouse ${packageJson.version}\n`);
  else {
    const loaded = loadConfig();
    // Imported here, because its dependencies take most of a second to load.
    const { run } = await import('./cli/commands.ts');
    const flags = (['force', 'unverified', 'create'] as const)
      .filter((each) => values[each])
      .map((each) => `--${each}`);
    const heads = (values.head ?? []).flatMap((head) => ['--head', head]);
    await run([...positionals, ...flags, ...heads], loaded);
  }
} catch (error) {
  process.stderr.write(`${fatalLine((error as Error).message)}\n`);
  // EX_CONFIG of sysexits.h: a restart does not help, only another configuration does.
  process.exit(error instanceof ConfigFaults ? 78 : 1);
}

/** In production a log collector reads it, like every other line: level 60 is `fatal`. */
function fatalLine(message: string): string {
  if (!inProduction() || process.stderr.isTTY) return message;
  return JSON.stringify({ level: 60, time: new Date().toISOString(), msg: message });
}
