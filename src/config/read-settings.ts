import { readFileSync } from 'node:fs';
import type { Fault } from './config-faults.ts';
import { type Setting, type SettingName, settings } from './schema.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The value of a setting and, in words without secrets, its source. */
export interface Reading {
  readonly name: SettingName;
  readonly found: string;
  readonly value?: unknown;
  readonly fault?: Fault;
}

/** Reads one setting from its variable, the file its NAME_FILE names, or its default. */
export function readSetting(name: SettingName, env: Environment): Reading {
  const setting: Setting = settings[name];
  const { found, text = setting.default, fault } = findText(name, setting, env);
  if (fault || text === undefined) return { name, found, fault };
  const read = setting.reads.safeParse(text);
  if (read.success) return { name, found, value: read.data };
  const why = read.error.issues.map(({ message }) => message).join('; ');
  const allowed = setting.reads.description ?? '';
  return { name, found, fault: { variable: name, found: `${found}: ${why}`, allowed, example: exampleOf(name) } };
}

interface Source {
  readonly found: string;
  readonly text?: string;
  readonly fault?: Fault;
}

function findText(name: SettingName, setting: Setting, env: Environment): Source {
  const text = env[name];
  const path = setting.secret && env[`${name}_FILE`];
  if (path && text) {
    const found = `${name} and ${name}_FILE`;
    return { found, fault: { variable: name, found, allowed: 'one of the two', example: exampleOf(name) } };
  }
  if (path) return readSecretFile(`${name}_FILE`, path);
  if (!text) return { found: setting.default ? `the default ${setting.default}` : 'nothing' };
  return { text, found: setting.secret ? `a value of ${text.length} characters` : quote(text) };
}

function readSecretFile(variable: string, path: string): Source {
  // The secret itself may be here by mistake, and must not be printed. Secrets contain a colon; paths hardly ever do.
  const file = path.includes(':') ? 'a path with a colon (the secret itself?)' : quote(path);
  const refuse = (why: string): Source => ({
    found: file,
    fault: {
      variable,
      found: `${file}: ${why}`,
      allowed: 'a file that holds it',
      example: `${variable}=/run/secrets/x`,
    },
  });
  try {
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    return text ? { text, found: `a value of ${text.length} characters in ${file}` } : refuse('empty');
  } catch (thrown) {
    return refuse(`cannot be read (${(thrown as NodeJS.ErrnoException).code})`);
  }
}

export function exampleOf(name: SettingName): string {
  return `${name}=${settings[name].example}`;
}

/** As a line of plain ASCII, without the user and password of a URL or a key in place of its path. */
function quote(text: string): string {
  const shown = text.replace(/:\/\/.*@/s, '://***@').replace(/-----BEGIN.*/s, '-----BEGIN ***');
  const line = JSON.stringify(shown.length > 80 ? `${shown.slice(0, 77)}...` : shown);
  return line.replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
