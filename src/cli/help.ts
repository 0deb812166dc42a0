import { settingsText, wrap } from '../config/help.ts';
import { shellCommand } from '../text/program.ts';
import { type Command, type CommandName, commandGroups, commandNames, commands, commandsOf } from './catalog.ts';

const usualExits = {
  0: 'done',
  1: 'it failed; the message says why',
  2: 'the command line is wrong',
  78: 'a setting is wrong; the message names all that are',
};

/** What `--help` alone prints, in at most 100 columns. */
export function helpText(): string {
  return `Usage: ${shellCommand('[COMMAND] [--help] [--version]')}

${overviewOf(commandNames)}

${shellCommand('COMMAND --help')} prints arguments, options, an example and the exit codes of a command.

Settings are environment variables; an empty one counts as not set. A secret can be read from a file
instead: the variable NAME_FILE then names the file.

${settingsText()}
`;
}

/** The help of a command, or of all commands that begin with the same word. */
export function commandHelp(name: string): string {
  const names = Object.hasOwn(commands, name) ? [name as CommandName] : commandsOf(name);
  const overview = names.length > 1 ? [`Usage: ${shellCommand(`${name} [COMMAND]`)}\n\n${overviewOf(names)}`] : [];
  const exits = Object.entries({ ...usualExits, ...commands[names[0]!].exits });
  const parts = [...overview, ...names.map(describe), section('Exit codes', exits)];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function overviewOf(names: readonly CommandName[]): string {
  const width = Math.max(...names.map((name) => name.length)) + 2;
  return names.map((name) => `  ${name.padEnd(width)}${commands[name].summary}`).join('\n');
}

function describe(name: CommandName): string {
  const { does, example, arguments: args = [], options = {} }: Command = commands[name];
  const optionRows = Object.entries(options).map(([option, { value, does, default: absent }]) => [
    `--${option}${value ? ` ${value}` : ''}`,
    `${does} (default: ${absent})`,
  ]);
  const parts = [
    `Usage: ${shellCommand(synopsis(name))}`,
    wrap(does, 96)
      .map((line) => `  ${line}`)
      .join('\n'),
    section(
      'Arguments',
      args.map((each) => [each.name, `${each.does}${each.optional ? ' (optional)' : ''}`]),
    ),
    section('Options', [...optionRows, ['--help, -h', 'prints this text']]),
    `Example:\n  ${shellCommand(example)}`,
  ];
  return parts.filter(Boolean).join('\n\n');
}

/** A command with its options and arguments. */
export function synopsis(name: CommandName): string {
  const { arguments: args = [], options = {} }: Command = commands[name];
  const shown = Object.entries(options).map(([option, { value, isSingle }]) =>
    value ? `[--${option} ${value}]${isSingle ? '' : '...'}` : `[--${option}]`,
  );
  return [name, ...args.map((each) => (each.optional ? `[${each.name}]` : each.name)), ...shown].join(' ');
}

/** A heading with rows of two columns; empty without rows. */
function section(title: string, rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const width = Math.max(...rows.map(([name]) => name!.length)) + 2;
  const lines = rows.flatMap(([name = '', text = '']) =>
    wrap(text, 96 - width).map((line, index) => `  ${(index === 0 ? name : '').padEnd(width)}${line}`),
  );
  return [`${title}:`, ...lines].join('\n');
}

/** docs/commands.md. */
export function commandsDocument(): string {
  const sections = commandGroups.map((group) => `## ${group}\n\n\`\`\`text\n${commandHelp(group)}\`\`\`\n`);
  return `# Commands

\`${shellCommand('COMMAND --help')}\` prints the texts of this page, which \`npm run generate\` writes from the same source. Commands
open the database themselves and need the [settings](configuration.md) of the service. They can run beside the service,
but not with the embedded database of development.

${sections.join('\n')}`;
}
