// Writes docs/commands.md from the help of the commands; with --check only says whether it is there and true.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { commandsDocument } from '../src/cli/help.ts';

const document = 'docs/commands.md';
const fresh = commandsDocument();
const isFresh = existsSync(document) && readFileSync(document, 'utf8') === fresh;
if (process.argv.includes('--check')) {
  if (!isFresh) {
    console.error(`${document} is stale; run: npm run generate`);
    process.exitCode = 1;
  }
} else if (!isFresh) writeFileSync(document, fresh);
