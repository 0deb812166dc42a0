import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { projectOf } from '../../rpc/context.ts';
import type { MfaDeps, MfaMethods } from '../deps.ts';
import { requestOptions } from '../webauthn/options.ts';
import { mintSignInChallenge } from '../webauthn/sign-in-challenge.ts';

export function startPasskeySignIn({ now, keys, relyingParty }: MfaDeps): MfaMethods['startPasskeySignIn'] {
  return async (_, context) => {
    const { id, bytes, expiresAt } = mintSignInChallenge(keys, projectOf(context), now());
    return {
      requestOptions: requestOptions(relyingParty, { use: 'passkey', challenge: bytes, allow: [] }),
      expireTime: timestampFromDate(expiresAt),
      challengeId: id,
    };
  };
}
