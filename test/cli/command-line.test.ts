import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { type CommandName, commandGroups, commandNames, commands } from '../../src/cli/catalog.ts';
import { commandHelp, commandsDocument, synopsis } from '../../src/cli/help.ts';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { UsageError } from '../../src/cli/usage-error.ts';
import { counted } from '../../src/text/counted.ts';
import { shellCommand } from '../../src/text/program.ts';
import { run } from '../support/process.ts';

const parse = (line: string) => parseCommandLine(line.split(' ').filter(Boolean));

describe('a command line', () => {
  test.each<[line: string, command: CommandName, args: string[], options: Record<string, string[]>]>([
    ['', 'serve', [], {}],
    ['keys', 'keys list', [], {}],
    ['--force keys rotate', 'keys rotate', [], { force: [] }],
    [`keys revoke -${'a'.repeat(42)}`, 'keys revoke', [`-${'a'.repeat(42)}`], {}],
    ['installation drop PUBLIC_URL', 'installation drop', ['PUBLIC_URL'], {}],
    ['admin grant ada@example.org --unverified', 'admin grant', ['ada@example.org'], { unverified: [] }],
    ['audit verify --head 1:a --head=2:b', 'audit verify', [], { head: ['1:a', '2:b'] }],
    ['import -', 'import', ['-'], {}],
    ['migrate --create', 'migrate', [], { create: [] }],
  ])('%j is read', (line, command, args, options) => {
    expect(parse(line)).toEqual({ command, args, options: new Map(Object.entries(options)) });
  });

  test.each([
    ['sevre', "there is no command 'sevre'; did you mean 'serve'?"],
    ['key', "there is no command 'key'; did you mean 'keys'?"],
    ['import-users', "there is no command 'import-users'; there are serve, migrate, keys,"],
    ['rotate', "there is no command 'rotate'; did you mean 'keys rotate'?"],
    ['constructor', "there is no command 'constructor'; there are "],
    ['keys rotat', "there is no 'keys rotat'; did you mean 'keys rotate'?"],
    ['keys xyz --help', "there is no 'keys xyz'; there are 'keys list', 'keys import', 'keys rotate', 'keys revoke'"],
    ['help kyes', "there is no command 'kyes'; did you mean 'keys'?"],
    ['audit', 'name a command of audit: npm start -- audit verify'],
    ['--verbose', "there is no option '--verbose'; see npm start -- --help"],
    ['keys rotate --forse', "there is no option '--forse'; did you mean '--force'?"],
    ['--hed 5:abc audit verify', "there is no option '--hed'; did you mean '--head'?"],
    ['keys list --force', "'keys list' has no option '--force'; see npm start -- keys list --help"],
    ['keys rotate --force=yes', "'--force' takes no value; see npm start -- keys rotate --help"],
    ['audit verify --head', "'--head' needs a value: npm start -- audit verify [--head HEAD]..."],
    ['keys rotate a', "'keys rotate' takes no argument, not even 'a'; see npm start -- keys rotate --help"],
    ['serve now', "'serve' takes no argument, not even 'now'; see npm start -- serve --help"],
    ['keys revoke', 'name the key to revoke: npm start -- keys revoke KEY-ID'],
    ['keys revoke a b', 'name the key to revoke: npm start -- keys revoke KEY-ID'],
    [
      'admin grant',
      'name one user by their address: npm start -- admin grant EMAIL [--project PROJECT] [--unverified]',
    ],
    ['admin revoke a@b.c d@e.f', 'name one user by their address: npm start -- admin revoke EMAIL'],
    ['import', 'name one file to import, or - for stdin: npm start -- import FILE'],
    ['import a.jsonl b.jsonl', 'name one file to import, or - for stdin: npm start -- import FILE'],
  ])('%j is refused with a sentence that helps', (line, sentence) => {
    expect(() => parse(line)).toThrow(UsageError);
    expect(() => parse(line)).toThrow(sentence);
  });

  test.each([
    [['keys', 'rotat'], "there is no 'keys rotat'; did you mean 'keys rotate'?\n"],
    [['installation', 'drop', 'MASTER_KEYS'], /^name what to drop: npm start -- installation drop MASTER_KEYS ID, /],
    [['installation', 'drop', 'SERVICE_KEYS', 'a'], /^name what to drop: /],
    [['installation', 'drop', 'PUBLIC_URL', 'a'], /^name what to drop: /],
    [['audit', 'verify', '--head', 'x'], "'x' is not a head: copy SEQUENCE:HASH from the output of audit verify\n"],
  ])('%j ends the process with 2, before anything needs the database', async (args, sentence) => {
    const { code, stdout, stderr } = await run(args, { DATABASE_URL: 'postgres://127.0.0.1:1/nowhere' });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toEqual(typeof sentence === 'string' ? sentence : expect.stringMatching(sentence));
  });
});

describe('the help of a command', () => {
  test.each(commandNames)('%s has its usage, arguments, options with defaults, an example and exit codes', (name) => {
    const help = commandHelp(name);
    const words = help.replace(/\s+/g, ' ');
    const { does, arguments: args = [], options = {}, example } = commands[name];
    expect(help.split('\n')[0]).toBe(`Usage: ${shellCommand(synopsis(name))}`);
    expect(words).toContain(does);
    for (const each of args) expect(words).toContain(` ${each.name} ${each.does}`);
    for (const [option, each] of Object.entries(options)) {
      expect(words).toContain(` --${option} `);
      expect(words).toContain(`${each.does} (default: ${each.default})`);
    }
    expect(help).toContain(`Example:\n  ${shellCommand(example)}\n`);
    for (const code of [0, 1, 2, 78]) expect(help).toMatch(new RegExp(`^ {2}${code} +\\S`, 'm'));
    const lines = help.split('\n').filter((line) => !line.includes(example));
    expect(lines.filter((line) => line.length > 100)).toEqual([]);
    if (name !== 'help') expect(parse(example)).toMatchObject({ command: name });
  });

  test.each([
    ['keys rotate --help', 'keys rotate'],
    ['-h keys rotate', 'keys rotate'],
    ['keys rotate a b --forse --help', 'keys rotate'],
    ['help keys rotate', 'keys rotate'],
    ['keys --help', 'keys'],
    ['help keys', 'keys'],
    ['help audit', 'audit'],
    ['help --help', undefined],
    ['help', undefined],
    ['--help', undefined],
  ])('%j asks for it', (line, about) => {
    expect(parse(line)).toEqual(about ? { command: 'help', about } : { command: 'help' });
  });

  test('is printed without a configuration, and that of a group contains that of its commands', async () => {
    const wrong = { NODE_ENV: 'production', GRPC_PORT: 'none' };
    for (const line of [
      ['keys', '--help'],
      ['help', 'keys'],
    ]) {
      const printed = await run(line, wrong);
      expect(printed).toEqual({ code: 0, signal: null, stdout: commandHelp('keys'), stderr: '' });
    }
    for (const name of ['keys list', 'keys rotate', 'keys revoke'] as const)
      expect(commandHelp('keys')).toContain(commandHelp(name).split('Exit codes')[0]);
  });

  test('is what docs/commands.md says', () => {
    const document = readFileSync('docs/commands.md', 'utf8');
    expect(document).toBe(commandsDocument());
    for (const group of commandGroups) expect(document).toContain(commandHelp(group));
  });
});

test('commands in messages are typed as the program is really run', () => {
  expect(packageJson).not.toHaveProperty('bin');
  expect(packageJson.scripts.start).toMatch(/ src\/main\.ts$/);
  expect(shellCommand('keys list')).toBe('npm start -- keys list');
});

test('a number has the singular of its noun only when it is one', () => {
  expect([0, 1, 2].map((n) => counted(n, 'user'))).toEqual(['0 users', '1 user', '2 users']);
  expect([1, 3].map((n) => counted(n, 'line was', 'lines were'))).toEqual(['1 line was', '3 lines were']);
});
