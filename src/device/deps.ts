import type { ServiceImpl } from '@connectrpc/connect';
import type { GuestDisposition } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import type { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import type { AccountDeps } from '../account/deps.ts';
import type { KeyRules } from '../api-key/create-key.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { SessionOpener } from '../session/session-opener.ts';
import type { LoginWatch } from './login-watch.ts';
import type { LoginPolls } from './poll.ts';
import type { UnknownCodes } from './unknown-codes.ts';

export type DeviceMethods = ServiceImpl<typeof DeviceService>;

/** What DeviceService's methods work with. */
export interface DeviceDeps
  extends Pick<AccountDeps, 'now' | 'requestIds' | 'paging' | 'outbox' | 'messages' | 'registration' | 'projects'> {
  readonly keys: MasterKeys;
  readonly opener: SessionOpener;
  /** ANONYMOUS_MERGE_DEFAULT: for a request that leaves it open what happens to a guest. */
  readonly guestDisposition: GuestDisposition;
  readonly unknownCodes: UnknownCodes;
  readonly keyRules: KeyRules;
  /** The scopes that an API key may have: the methods that admit API keys, and their services. */
  readonly keyScopes: ReadonlySet<string>;
  readonly watch: LoginWatch;
  readonly polls: LoginPolls;
}
