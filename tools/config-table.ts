// Writes the tables of settings into docs/configuration.md; with --check only says whether they are there and true.
import { readFileSync, writeFileSync } from 'node:fs';
import { describeSettings, type SettingDescription } from '../src/config/help.ts';

const document = 'docs/configuration.md';
const begin = '<!-- config:begin -->';
const end = '<!-- config:end -->';

function writeTables(): string {
  const groups = Map.groupBy(describeSettings(), ({ group }) => group);
  return [begin, ...[...groups].flatMap(([group, settings]) => writeTable(group, settings)), end].join('\n');
}

function writeTable(group: string, settings: readonly SettingDescription[]): string[] {
  const head = ['| Variable | Default | What it does | Allowed | Example |', '| --- | --- | --- | --- | --- |'];
  return [`## ${group}`, '', ...head, ...settings.map(writeRow), ''];
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

function readDocument(): string {
  try {
    return readFileSync(document, 'utf8');
  } catch {
    return fail(`There is no ${document} here.`);
  }
}

const written = readDocument();
const from = written.indexOf(begin);
const to = written.indexOf(end, from);
if (from < 0 || to < 0) fail(`${document} has no ${begin} and ${end} lines for the tables of settings.`);
const fresh = written.slice(0, from) + writeTables() + written.slice(to + end.length);
if (process.argv.includes('--check')) {
  if (fresh !== written) fail(`The tables of settings in ${document} are stale; run: npm run generate`);
} else if (fresh !== written) {
  writeFileSync(document, fresh);
}
