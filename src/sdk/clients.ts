import { type Client, createClient, type Transport } from '@connectrpc/connect';
import { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';

/** One typed client per service of the contract. A call that fails rejects with a ConnectError. */
export interface Clients {
  /** Registers users, signs them in, and returns the calling user. */
  readonly auth: Client<typeof AuthService>;
  /** Refreshes, lists, revokes and introspects sessions. */
  readonly sessions: Client<typeof SessionService>;
  /** Manages accounts, their members and invitations, and counts usage. */
  readonly accounts: Client<typeof AccountService>;
  /** Signs in devices and programs that have no browser, and manages the API keys of the calling user. */
  readonly devices: Client<typeof DeviceService>;
  /** Enrols, verifies and removes the second factors of the calling user. */
  readonly mfa: Client<typeof MfaService>;
  /** Manages users. For backends: every method takes a service key as its bearer token. */
  readonly admin: Client<typeof AdminService>;
}

export function createClients(transport: Transport): Clients {
  return {
    auth: createClient(AuthService, transport),
    sessions: createClient(SessionService, transport),
    accounts: createClient(AccountService, transport),
    devices: createClient(DeviceService, transport),
    mfa: createClient(MfaService, transport),
    admin: createClient(AdminService, transport),
  };
}
