#!/usr/bin/env node
import packageJson from '../package.json' with { type: 'json' };
import { commandHelp, helpText } from './cli/help.ts';
import { parseCommandLine } from './cli/parse.ts';
import { UsageError } from './cli/usage-error.ts';
import { ConfigFaults, inProduction, loadConfig } from './config/config.ts';

// The reader of the output may be gone, as with `npm start -- --help | head -1`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  const parsed = parseCommandLine(process.argv.slice(2));
  if (parsed.command === 'help') process.stdout.write(parsed.about ? commandHelp(parsed.about) : helpText());
  else if (parsed.command === 'version') process.stdout.write(`gatehouse ${packageJson.version}\n`);
  else {
    const loaded = loadConfig();
    // Imported here, because its dependencies take most of a second to load.
    const { run } = await import('./cli/commands.ts');
    await run(parsed, loaded);
  }
} catch (error) {
  process.stderr.write(`${fatalLine((error as Error).message)}\n`);
  process.exit(exitCodeOf(error));
}

function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return 2;
  // EX_CONFIG of sysexits.h: a restart does not help, only another configuration does.
  return error instanceof ConfigFaults ? 78 : 1;
}

/** In production a log collector reads it, like every other line: level 60 is `fatal`. */
function fatalLine(message: string): string {
  if (!inProduction() || process.stderr.isTTY) return message;
  return JSON.stringify({ level: 60, time: new Date().toISOString(), msg: message });
}
