import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller, change } from '../rpc/context.ts';
import { deviceName } from '../session/device-name.ts';
import { forgetDevices, trustedDevicesOf } from '../session/trusted-device.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';

export function trustedDevices({ now }: MfaDeps): Pick<MfaMethods, 'listTrustedDevices' | 'revokeTrustedDevice'> {
  return {
    async listTrustedDevices(_, context) {
      const devices = await trustedDevicesOf(autocommit(context), caller(context).userId, now());
      return {
        trustedDevices: devices.map(({ id, address, userAgent, createdAt, lastUsedAt, expiresAt }) => ({
          id,
          deviceName: deviceName(userAgent),
          address,
          createTime: timestampFromDate(createdAt),
          lastUseTime: timestampFromDate(lastUsedAt),
          expireTime: timestampFromDate(expiresAt),
        })),
      };
    },

    async revokeTrustedDevice({ trustedDeviceId }, context) {
      const { userId } = caller(context);
      await change(context, async (em) => {
        const isForgotten = await forgetDevices(em, { userId, only: trustedDeviceId });
        if (!isForgotten) throw new Refusal('TRUSTED_DEVICE_NOT_FOUND');
        audit(em, context, { action: 'trusted_device.revoke', entityId: trustedDeviceId.toLowerCase() }, now());
      });
      return {};
    },
  };
}
