import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { caller, change } from '../rpc/context.ts';
import { deviceName } from '../session/device-name.ts';
import { ownRead } from '../session/own-read.ts';
import { forgetDevices, type ShownDevice, trustedDevicesOf } from '../session/trusted-device.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';

/** As JSON: the times are texts. */
type DeviceJson = { readonly [Key in keyof ShownDevice]: string };

/** The trusted devices of the caller. */
export const ownTrustedDevices = ownRead<{ devices: DeviceJson[] }>(
  'session_states_trusted_devices',
  `${trustedDevicesOf('named.user_id')} as devices`,
);

export function trustedDevices({ now }: MfaDeps): Pick<MfaMethods, 'listTrustedDevices' | 'revokeTrustedDevice'> {
  return {
    listTrustedDevices(_, context) {
      return {
        trustedDevices: ownTrustedDevices
          .of(context)
          .devices.map(({ id, address, userAgent, createdAt, lastUsedAt, expiresAt }) => ({
            id,
            deviceName: deviceName(userAgent),
            address,
            createTime: timestampFromDate(new Date(createdAt)),
            lastUseTime: timestampFromDate(new Date(lastUsedAt)),
            expireTime: timestampFromDate(new Date(expiresAt)),
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
