import type { ServiceImpl } from '@connectrpc/connect';
import type { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import type { Outbox } from '../mail/outbox.ts';
import type { ConfiguredSettings } from '../project/settings.ts';
import type { SessionOpener } from '../session/session-opener.ts';
import type { LoginWatch } from './login-watch.ts';

export type DeviceMethods = ServiceImpl<typeof DeviceService>;

/** What DeviceService's methods work with. */
export interface DeviceDeps {
  readonly now: Clock;
  readonly keys: MasterKeys;
  readonly opener: SessionOpener;
  readonly outbox: Outbox;
  /** Whether addresses are verified by mail. */
  readonly registration: ConfiguredSettings;
  /** FRONTEND_URL. The pages of logins are there. */
  readonly frontendUrl: string;
  readonly watch: LoginWatch;
}
