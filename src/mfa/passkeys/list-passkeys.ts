import { autocommit, caller } from '../../rpc/context.ts';
import type { MfaDeps, MfaMethods } from '../deps.ts';
import { acceptedToMessage, passkeysOf, passkeyToMessage } from './passkey-list.ts';

export function listPasskeys({ relyingParty }: MfaDeps): MfaMethods['listPasskeys'] {
  return async (_, context) => {
    const { userId } = caller(context);
    const passkeys = await passkeysOf(autocommit(context), userId);
    return {
      passkeys: passkeys.map(passkeyToMessage),
      acceptedCredentials: acceptedToMessage(relyingParty, userId, passkeys),
    };
  };
}
