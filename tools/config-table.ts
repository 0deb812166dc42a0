// Writes the table of settings into README.md; with --check only says whether it is there and true.
import { readFileSync, writeFileSync } from 'node:fs';
import { describeSettings, type SettingDescription } from '../src/config/help.ts';

const begin = '<!-- config:begin -->';
const end = '<!-- config:end -->';

function writeTable(): string {
  const head = ['| Variable | Default | What it does | Allowed | Example |', '| --- | --- | --- | --- | --- |'];
  return [begin, ...head, ...describeSettings().map(writeRow), end].join('\n');
}

function writeRow({ name, secret, default: value, description, allowed, example }: SettingDescription): string {
  const variable = secret ? `\`${name}\` (secret, also \`${name}_FILE\`)` : `\`${name}\``;
  const cells = [variable, value, description, allowed, `\`${example}\``];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}

function readReadme(): string {
  try {
    return readFileSync('README.md', 'utf8');
  } catch {
    return fail('There is no README.md here.');
  }
}

const readme = readReadme();
const from = readme.indexOf(begin);
const to = readme.indexOf(end, from);
if (from < 0 || to < 0) fail(`README.md has no ${begin} and ${end} lines for the table of settings.`);
const fresh = readme.slice(0, from) + writeTable() + readme.slice(to + end.length);
if (process.argv.includes('--check')) {
  if (fresh !== readme) fail("README.md's table of settings is stale; run: npm run generate");
} else if (fresh !== readme) {
  writeFileSync('README.md', fresh);
}
