import { groups, type Setting } from './schema.ts';

export interface SettingDescription {
  readonly name: string;
  readonly group: string;
  /** In words where it depends on other settings. */
  readonly default: string;
  readonly secret: boolean;
  readonly description: string;
  readonly allowed: string;
  readonly example: string;
}

/** Every setting of the schema, by group. */
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

const usage = `Usage: gatehouse [serve|migrate|keys|installation|admin|audit|import] [--help]

  serve    runs the service (default)
  migrate  migrates the database schema and exits; migrate --create creates the database before
  keys     manages the keys that sign access tokens: keys list, keys rotate [--force],
           keys revoke KEY-ID
  installation
           installation list shows the keys and the issuer that every replica must have;
           installation drop MASTER_KEYS ID, drop PASSWORD_PEPPER ID and drop PUBLIC_URL give one
           up; installation restored revokes every session and voids every link and code: run it
           after a backup was restored, before the service starts
  admin    manages operators: admin list, admin grant EMAIL [--unverified], admin revoke EMAIL;
           without --unverified the user must have verified the address
  audit    audit verify checks the audit trail and names the first event that fails the check;
           --head SEQUENCE:HASH compares it with a head that an earlier check printed
  import   import FILE creates users from JSON lines, with their password hashes; - reads stdin

Settings are environment variables; an empty one counts as not set. A secret can be read from a file
instead: the variable NAME_FILE then names the file.`;

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
