import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { caller, change } from '../../rpc/context.ts';
import { lockUser } from '../../user/user.ts';
import type { MfaDeps, MfaMethods } from '../deps.ts';
import { renameFactor } from '../factor.ts';
import { passkeysOf, passkeyToMessage } from './passkey-list.ts';

export function renamePasskey({ now }: MfaDeps): MfaMethods['renamePasskey'] {
  return async ({ passkeyId, friendlyName }, context) => {
    const { projectId, userId } = caller(context);
    const at = now();
    const passkey = await change(context, async (em) => {
      await lockUser(em, projectId, userId);
      const passkeys = await passkeysOf(em, userId);
      const named = passkeys.find(({ id }) => id === passkeyId.toLowerCase());
      if (!named) throw new Refusal('PASSKEY_NOT_FOUND');
      if (passkeys.some((each) => each !== named && each.friendlyName === friendlyName))
        throw new Refusal('FACTOR_NAME_CONFLICT');
      await renameFactor(em, userId, named.id, friendlyName);
      audit(em, context, { action: 'passkey.rename', entityId: named.id }, at);
      return { ...named, friendlyName };
    });
    return { passkey: passkeyToMessage(passkey) };
  };
}
