import { parseArgs } from 'node:util';
import { shellCommand } from '../text/program.ts';
import { type Command, type CommandName, commandGroups, commandNames, commands, commandsOf } from './catalog.ts';
import { synopsis } from './help.ts';
import { findNearest, suggest } from './nearest.ts';
import { UsageError } from './usage-error.ts';

/** A command line that is right. */
export interface Invocation {
  readonly command: Exclude<CommandName, 'help'>;
  readonly args: readonly string[];
  /** The options with a value by name; one without a value has an empty list. */
  readonly options: ReadonlyMap<string, readonly string[]>;
}

/** `about` is a command, the first word of several, or undefined for the overview. */
export type Parsed =
  | Invocation
  | { readonly command: 'version' }
  | { readonly command: 'help'; readonly about?: string };

const general = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

const optionsOf = (command: Command) => Object.entries(command.options ?? {});

const known = Object.fromEntries(
  Object.values(commands).flatMap((command) =>
    optionsOf(command).map(([name, { value }]) => [name, { type: value ? 'string' : 'boolean' } as const]),
  ),
);

/** Reads a command line. Throws a UsageError with a sentence that names what was probably meant. */
export function parseCommandLine(argv: readonly string[]): Parsed {
  // The id of a signing key has 43 characters of base64url, and the first may be a dash.
  const args = argv.flatMap((arg) => (/^-[\w-]{42}$/.test(arg) ? ['--', arg] : arg));
  const options = { ...known, ...general };
  const { positionals, tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true });
  const given = tokens.filter((token) => token.kind === 'option');
  const asks = (name: keyof typeof general) => given.some((token) => token.name === name);
  if (asks('help')) return helpAbout(positionals[0] === 'help' ? positionals.slice(1) : positionals);
  if (asks('version')) return { command: 'version' };
  for (const { name, rawName } of given)
    if (!Object.hasOwn(options, name)) {
      const meant = findNearest(name, Object.keys(options));
      throw new UsageError(`there is no option '${rawName}'${suggest(meant && `--${meant}`, seeHelp())}`);
    }
  const [command, rest] = resolve(positionals);
  if (command === 'help') return helpAbout(rest);
  checkArguments(command, rest);
  return { command, args: rest, options: readOptions(command, given) };
}

function helpAbout(words: readonly string[]): Parsed {
  const [first, second] = words;
  if (first === undefined) return { command: 'help' };
  if (second === undefined && commandsOf(first).length > 0) return { command: 'help', about: first };
  return { command: 'help', about: resolve(words)[0] };
}

/** The command of the words, and the words that are left. */
function resolve([first = 'serve', ...rest]: readonly string[]): [CommandName, readonly string[]] {
  if (Object.hasOwn(commands, first)) return [first as CommandName, rest];
  const group = commandsOf(first);
  if (group.length === 0) {
    const bySecond = commandNames.find((name) => name.endsWith(` ${first}`));
    const meant = findNearest(first, commandGroups) ?? bySecond;
    throw new UsageError(`there is no command '${first}'${suggest(meant, `there are ${commandGroups.join(', ')}`)}`);
  }
  const [second = 'list', ...args] = rest;
  const named = group.find((name) => name === `${first} ${second}`);
  if (named) return [named, args];
  if (rest.length === 0) throw new UsageError(`name a command of ${first}: ${group.map(shellCommand).join(', ')}`);
  const seconds = group.map((name) => name.split(' ')[1]!);
  const meant = findNearest(second, seconds);
  const all = group.map((name) => `'${name}'`).join(', ');
  throw new UsageError(
    `there is no '${first} ${second}'${suggest(meant && `${first} ${meant}`, `there ${group.length > 1 ? 'are' : 'is'} ${all}`)}`,
  );
}

function checkArguments(name: CommandName, given: readonly string[]): void {
  const args = commands[name].arguments ?? [];
  if (args.length === 0 && given.length > 0)
    throw new UsageError(`'${name}' takes no argument, not even '${given[0]}'; ${seeHelp(name)}`);
  const missing = args.find((each, index) => !each.optional && !given[index]);
  const asked = missing ?? (given.length > args.length ? args[0] : undefined);
  if (asked) throw new UsageError(`name ${asked.asks}: ${shellCommand(synopsis(name))}`);
}

type OptionToken = { readonly name: string; readonly rawName: string; readonly value?: string | undefined };

function readOptions(command: CommandName, given: readonly OptionToken[]): Map<string, string[]> {
  const own = new Map(optionsOf(commands[command]));
  const read = new Map<string, string[]>();
  for (const { name, rawName, value } of given) {
    const option = own.get(name);
    if (!option) throw new UsageError(`'${command}' has no option '${rawName}'; ${seeHelp(command)}`);
    if (option.value && !value) throw new UsageError(`'${rawName}' needs a value: ${shellCommand(synopsis(command))}`);
    if (!option.value && value !== undefined) throw new UsageError(`'${rawName}' takes no value; ${seeHelp(command)}`);
    read.set(name, [...(read.get(name) ?? []), ...(value ? [value] : [])]);
  }
  return read;
}

function seeHelp(command?: string): string {
  return `see ${shellCommand(`${command ? `${command} ` : ''}--help`)}`;
}
