import type { MikroORM } from '@mikro-orm/postgresql';
import { readKeys } from '../admin/project-keys.ts';
import { checkSettings } from '../admin/project-settings.ts';
import { newProject, saveProject } from '../admin/projects.ts';
import type { Config } from '../config/config.ts';
import { projectDefaults, projectSettingReader } from '../config/project-settings.ts';
import { scopesFault } from '../config/scopes.ts';
import { isGuessableDigest } from '../config/secret-parsers.ts';
import { Autocommit } from '../database/autocommit.ts';
import { openClock } from '../database/clock.ts';
import { transact } from '../database/transaction.ts';
import { Refusal } from '../errors.ts';
import { type KnownProject, Projects } from '../project/projects.ts';
import { type SettingName, settingNames, settingVariables } from '../project/settings.ts';
import { anyCaller } from '../rpc/context.ts';
import { commandLine } from './caller.ts';
import type { Invocation } from './parse.ts';
import type { Terminal } from './terminal.ts';

/** `projects list`, `show`, `create`, `update` and `keys`: the projects, with their settings and service keys. */
export async function manageProjects(
  orm: MikroORM,
  config: Config,
  { command, args: [name = ''], options }: Invocation,
  terminal: Terminal,
): Promise<void> {
  const projects = new Projects(new Autocommit(orm), projectDefaults(config));
  await projects.refresh();
  if (command === 'projects list') {
    for (const { slug, id, publishableKey } of projects.all) terminal.print(`${slug}  ${id}  ${publishableKey ?? ''}`);
    return;
  }
  if (command !== 'projects show') {
    const { now } = await openClock(orm, config.clockOffset);
    await save(orm, config, projects, { command, name, options, now: now() });
    await projects.refresh();
  }
  const found = await projects.find(name);
  if (!found) throw new Error(`there is no project ${name}`);
  show(found, terminal);
}

interface Saving {
  readonly command: Invocation['command'];
  readonly name: string;
  readonly options: Invocation['options'];
  readonly now: Date;
}

async function save(orm: MikroORM, config: Config, projects: Projects, { command, name, options, now }: Saving) {
  const readSetting = projectSettingReader(config);
  const deps = { projects, readSetting, scopesFault, isGuessableDigest, serviceKeys: config.serviceKeys };
  const isNew = command === 'projects create';
  const context = commandLine(command);
  const caller = anyCaller(context);
  try {
    if (isNew && !slugForm.test(name))
      throw new Error('a slug has 1 to 63 characters a-z, 0-9 or -, with no - at an end');
    const project = isNew ? newProject(name, now) : undefined;
    const projectId = project?.id ?? (await projects.named(name)).id;
    const asked = {
      texts: (options.get('set') ?? []).map(readAssignment),
      reset: (options.get('reset') ?? []).map(nameOf),
    };
    const changes = checkSettings(deps, asked, { caller, projectId });
    const add = (options.get('key') ?? []).map(readKey);
    const keys = readKeys(deps, { add, remove: options.get('remove') ?? [] }, { caller, field: 'key', now });
    const change = { projectId, ...(project && { project }), changes, keys };
    await transact(orm, (em) => saveProject(em, deps, context, change, now));
  } catch (thrown) {
    throw thrown instanceof Refusal ? new Error(describe(thrown)) : thrown;
  }
}

const slugForm = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

function describe({ message, options: { fields = [] } }: Refusal): string {
  if (fields.length === 0) return message;
  return fields.map(({ field, description }) => `${field}: ${description}`).join('; ');
}

function readAssignment(text: string): [SettingName, string] {
  const at = text.indexOf('=');
  if (at < 0) throw new Error(`'${text}' is not of the form NAME=VALUE`);
  return [nameOf(text.slice(0, at)), text.slice(at + 1)];
}

function nameOf(variable: string): SettingName {
  const found = settingNames.find((name) => settingVariables[name] === variable);
  if (found) return found;
  throw new Error(`${variable} is no setting of a project; there are ${Object.values(settingVariables).join(', ')}`);
}

function readKey(text: string) {
  const [, name, sha256, scopes] = /^([a-z0-9_-]{1,64}):([0-9a-fA-F]{64})(?::(.+))?$/.exec(text) ?? [];
  if (!name || !sha256) throw new Error('a service key is not of the form NAME:SHA256 or NAME:SHA256:SCOPE+SCOPE');
  return { name, sha256, scopes: scopes?.split('+') ?? [] };
}

function show({ slug, id, publishableKey, overrides, serviceKeys }: KnownProject, terminal: Terminal): void {
  terminal.print(`${slug}  ${id}  ${publishableKey ?? ''}`);
  for (const name of settingNames)
    if (overrides[name] !== undefined) terminal.print(`  ${settingVariables[name]}=${textOf(overrides[name])}`);
  for (const { name, scopes = [], createdAt } of serviceKeys)
    terminal.print(`  service key ${name}  ${scopes.join('+') || 'all methods for backends'}  since ${createdAt}`);
}

function textOf(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (Array.isArray(value)) return value.join(',');
  if (typeof value === 'object')
    return Object.entries(value as object)
      .map((each) => each.join('='))
      .join(',');
  return String(value);
}
