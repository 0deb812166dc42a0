import type { ServiceImpl } from '@connectrpc/connect';
import { type AdminService, SettingName } from '../../gen/gatehouse/v1/admin_pb.ts';
import { audit } from '../audit/event.ts';
import type { Clock } from '../database/clock.ts';
import {
  type ConfiguredSettings,
  override,
  type RuntimeSettings,
  readOverrides,
  writeSettings,
} from '../project/settings.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';

export interface SettingsDeps {
  readonly now: Clock;
  /** What the configuration says. */
  readonly defaults: ConfiguredSettings;
}

const names = {
  [SettingName.SIGN_UP]: 'signUp',
  [SettingName.AUTO_CONFIRM_EMAIL]: 'autoConfirmEmail',
  [SettingName.EMAIL_VERIFICATION]: 'emailVerification',
} as const satisfies Record<number, keyof RuntimeSettings>;

export function settingsMethods({ now, defaults }: SettingsDeps) {
  const answer = (overrides: Partial<RuntimeSettings>) => ({ settings: override(defaults, overrides), overrides });
  return {
    async getSettings(_, context) {
      return answer(await readOverrides(autocommit(context), projectOf(context)));
    },

    async updateSettings({ settings, reset }, context) {
      const at = now();
      const given = Object.values(names).map((name) => [name, settings?.[name]] as const);
      const set: Partial<RuntimeSettings> = Object.fromEntries(given.filter(([, value]) => value !== undefined));
      const overrides = await change(context, async (em) => {
        audit(em, context, { action: 'settings.update' }, at);
        const without = reset.map((each) => names[each as keyof typeof names]);
        return writeSettings(em, projectOf(context), { set, reset: without }, at);
      });
      return answer(overrides);
    },
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}
