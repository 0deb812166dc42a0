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

/** Every setting in words, in at most 100 columns. */
export function settingsText(): string {
  const settings = describeSettings();
  const sections = Object.keys(groups).map((group) =>
    [group, ...settings.filter((setting) => setting.group === group).map(formatSetting)].join('\n'),
  );
  return sections.join('\n\n');
}

function formatSetting(setting: SettingDescription): string {
  const file = setting.secret ? ` (secret, or ${setting.name}_FILE)` : '';
  const lines = [setting.description, `Allowed: ${setting.allowed}.`, `Default: ${setting.default}`];
  return [`  ${setting.name}${file}`, ...lines.flatMap((line) => wrap(line, 94).map((part) => `      ${part}`))].join(
    '\n',
  );
}

/** The lines of a text, each at most `width` wide. */
export function wrap(text: string, width: number): string[] {
  return text.match(new RegExp(`\\S(?:.{0,${width - 2}}\\S)?(?=\\s|$)|\\S+`, 'g')) ?? [];
}
