import { SettingName } from '../../gen/gatehouse/v1/admin_pb.ts';
import { audit } from '../audit/event.ts';
import {
  type ConfiguredSettings,
  override,
  type RuntimeSettings,
  readOverrides,
  writeSettings,
} from '../project/settings.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';

const names = {
  [SettingName.SIGN_UP]: 'signUp',
  [SettingName.AUTO_CONFIRM_EMAIL]: 'autoConfirmEmail',
  [SettingName.EMAIL_VERIFICATION]: 'emailVerification',
} as const satisfies Record<number, keyof RuntimeSettings>;

export function getSettings(deps: AdminDeps): AdminMethods['getSettings'] {
  return async (_, context) =>
    toResponse(deps.registration, await readOverrides(autocommit(context), projectOf(context)));
}

export function updateSettings(deps: AdminDeps): AdminMethods['updateSettings'] {
  return async ({ settings, reset }, context) => {
    const at = deps.now();
    const sent = Object.values(names).map((name) => [name, settings?.[name]] as const);
    const set: Partial<RuntimeSettings> = Object.fromEntries(sent.filter(([, value]) => value !== undefined));
    const overrides = await change(context, async (em) => {
      const removed = reset.map((each) => names[each as keyof typeof names]);
      const entityId = changedNames([...Object.keys(set), ...removed]);
      audit(em, context, { action: 'settings.update', entityId }, at);
      return writeSettings(em, projectOf(context), { set, reset: removed }, at);
    });
    return toResponse(deps.registration, overrides);
  };
}

/** The changed settings as the API names them: `sign_up,auto_confirm_email`. */
function changedNames(changed: readonly string[]): string {
  const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.values(names)
    .filter((name) => changed.includes(name))
    .map(snakeCase)
    .join(',');
}

function toResponse(configured: ConfiguredSettings, overrides: Partial<RuntimeSettings>) {
  return { settings: override(configured, overrides), overrides };
}
