import { groups, type Setting } from './schema.ts';

export interface SettingDescription {
  readonly name: string;
  readonly group: string;
  /** In words where it depends on something else. */
  readonly default: string;
  readonly secret: boolean;
  readonly description: string;
  readonly allowed: string;
  readonly example: string;
}

/** Every setting as people should know it, by group, straight from the schema. */
export function describeSettings(): SettingDescription[] {
  return Object.entries(groups).flatMap(([group, members]) =>
    Object.entries<Setting>(members).map(([name, setting]) => ({
      name,
      group,
      default: setting.default ?? setting.otherwise ?? '',
      secret: setting.secret ?? false,
      description: setting.sentence,
      allowed: setting.reads.description ?? '',
      example: setting.example,
    })),
  );
}

const usage = `Usage: gatehouse [serve|migrate|keys|admin|audit|import] [--help]

  serve    runs the service (default)
  migrate  brings the database's schema up to date and exits
  keys     shows and rotates the keys that sign access tokens
  admin    admin grant EMAIL makes an operator of who has verified the address, with --unverified of
           whoever registered it; admin revoke EMAIL ends that, admin list shows them
  audit    audit verify follows the chain of seals and names the first event that is wrong
  import   import FILE creates users of JSON lines, with the hashes of another system; - reads stdin

Settings are environment variables; an empty one counts as not set. A secret may stand in a file
instead, named by the variable with _FILE behind it.`;

/** What `gatehouse --help` prints: at most 100 columns. */
export function helpText(): string {
  const settings = describeSettings();
  const sections = Object.keys(groups).map((group) =>
    [group, ...settings.filter((setting) => setting.group === group).map(formatSetting)].join('\n'),
  );
  return `${[usage, ...sections].join('\n\n')}\n`;
}

function formatSetting(setting: SettingDescription): string {
  const file = setting.secret ? ` (secret, or ${setting.name}_FILE)` : '';
  const lines = [setting.description, `Allowed: ${setting.allowed}.`, `Default: ${setting.default}`];
  return [`  ${setting.name}${file}`, ...lines.flatMap((line) => wrap(line, 94).map((part) => `      ${part}`))].join(
    '\n',
  );
}

function wrap(text: string, width: number): string[] {
  return text.match(new RegExp(`\\S(?:.{0,${width - 2}}\\S)?(?=\\s|$)|\\S+`, 'g')) ?? [];
}
