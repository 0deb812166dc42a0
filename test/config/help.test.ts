import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { helpText } from '../../src/cli/help.ts';
import { readConfig } from '../../src/config/config.ts';
import { describeSettings } from '../../src/config/help.ts';
import { groups } from '../../src/config/schema.ts';
import { makeDirectory, mountCertificates, production } from '../support/config-fixtures.ts';

test('every example is accepted, after the shell has expanded it', () => {
  const { secret, tls } = mountCertificates();
  for (const { name, example } of describeSettings()) {
    const env = { ...process.env, BILLING_KEY: 'ghs_abc' };
    const text = execFileSync('sh', ['-c', `printf %s "${example}"`], { env, encoding: 'utf8' });
    const beside = { ...(name === 'NODE_ENV' && production), ...(/^TLS_|CERTIFICATES$/.test(name) && tls) };
    const value = text
      .replace('/run/tls', secret)
      .replace('/etc/gatehouse/mail', 'src/mail/templates')
      .replace('/etc/gatehouse/pages.css', 'package.json');
    expect(() => readConfig({ ...beside, [name]: value })).not.toThrow();
  }
});

test('the help names every setting, in at most 100 columns', () => {
  const help = helpText();
  expect(help).toMatch(/^Usage: npm start -- \[COMMAND\] \[--help\] \[--version\]\n/);
  expect(help.split('\n').filter((line) => line.length > 100)).toEqual([]);
  for (const { name, description } of describeSettings()) {
    expect(help).toContain(`\n  ${name}`);
    expect(help.replace(/\s+/g, ' ')).toContain(description);
  }
});

test('every setting has a sentence, what is allowed, a default in words and an example', () => {
  for (const { secret, ...texts } of describeSettings())
    for (const text of Object.values(texts)) expect({ [texts.name]: text }).not.toEqual({ [texts.name]: '' });
});

const tool = resolve('tools/config-table.ts');

function runTool(cwd: string, ...args: string[]): string {
  try {
    return execFileSync(process.execPath, [tool, ...args], { cwd, encoding: 'utf8', stdio: 'pipe' });
  } catch (thrown) {
    return (thrown as { stderr: string }).stderr;
  }
}

test('the tables in docs/configuration.md are written between their markers, and their staleness is noticed', () => {
  const cwd = makeDirectory();
  mkdirSync(join(cwd, 'docs'));
  const document = join(cwd, 'docs/configuration.md');
  expect(runTool(cwd, '--check')).toContain('no docs/configuration.md');
  writeFileSync(document, '# Configuration\n');
  expect(runTool(cwd, '--check')).toContain('has no <!-- config:begin -->');
  writeFileSync(document, '# Configuration\n\n<!-- config:begin -->\nold\n<!-- config:end -->\n\nThe end.\n');
  expect(runTool(cwd, '--check')).toContain('run: npm run generate');
  expect(runTool(cwd)).toBe('');
  expect(runTool(cwd, '--check')).toBe('');
  const rows = readFileSync(document, 'utf8').split('\n');
  expect(rows.filter((row) => row.startsWith('| `'))).toHaveLength(describeSettings().length);
  expect(rows.filter((row) => row.startsWith('## '))).toEqual(Object.keys(groups).map((group) => `## ${group}`));
  // A cell's own bars are escaped, or GitHub cuts the row there.
  for (const row of rows.filter((row) => row.startsWith('|'))) expect(row.match(/(?<!\\)\|/g)).toHaveLength(6);
  expect([rows[0], rows.at(-2)]).toEqual(['# Configuration', 'The end.']);
});
