import type { DescMethod } from '@bufbuild/protobuf';
import { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { ownAccount } from '../account/get-account.ts';
import { ownInvites } from '../account/invites/list-account-invites.ts';
import { ownAccounts } from '../account/list-accounts.ts';
import { ownMembers } from '../account/list-members.ts';
import { ownReferral } from '../account/usage/get-referral.ts';
import { ownUsage } from '../account/usage/get-usage.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { ownDevices } from '../device/device-list.ts';
import { ownApiKeys } from '../device/list-api-keys.ts';
import { ownFactors } from '../mfa/own-factors.ts';
import { ownPasskeys } from '../mfa/passkeys/list-passkeys.ts';
import { ownTrustedDevices } from '../mfa/trusted-devices.ts';
import type { CallerReader } from '../session/bearer-token.ts';
import { getSessionCaller } from '../session/get-session.ts';
import { ownSessions } from '../session/list-sessions.ts';
import type { OwnPage } from '../session/own-page.ts';
import type { OwnRead } from '../session/own-read.ts';
import type { SessionLookup } from '../session/session-lookup.ts';
import { getMeCaller } from './get-me.ts';
import { ownIdentities } from './oauth/identities.ts';

const { getAccount, listAccounts, listMembers, listAccountInvites, getUsage, getReferral } = AccountService.method;
const { listFactors, getAssurance, listPasskeys, listTrustedDevices } = MfaService.method;
const { getMe, listIdentities } = AuthService.method;

const ownReads: readonly (readonly [DescMethod, OwnRead<object>])[] = [
  [listFactors, ownFactors],
  [getAssurance, ownFactors],
  [listPasskeys, ownPasskeys],
  [listTrustedDevices, ownTrustedDevices],
  [listIdentities, ownIdentities],
  [getUsage, ownUsage],
  [getReferral, ownReferral],
];

const ownPages: readonly (readonly [DescMethod, Pick<OwnPage<never, never>, 'callerReader'>])[] = [
  [SessionService.method.listSessions, ownSessions],
  [DeviceService.method.listDevices, ownDevices],
  [DeviceService.method.listApiKeys, ownApiKeys],
  [listAccounts, ownAccounts],
  [listMembers, ownMembers],
  [listAccountInvites, ownInvites],
];

/** The methods that read their caller and their response in one statement, each with what reads both. */
export function callerReadersOf(
  sessions: SessionLookup,
  shared: Autocommit,
  now: Clock,
): ReadonlyMap<DescMethod, CallerReader> {
  return new Map<DescMethod, CallerReader>([
    ...ownReads.map(([method, own]) => [method, own.callerReader(shared, now)] as const),
    [SessionService.method.getSession, getSessionCaller(sessions)],
    ...ownPages.map(([method, own]) => [method, own.callerReader(now)] as const),
    [getAccount, ownAccount.callerReader(now)],
    [getMe, getMeCaller(shared, now)],
  ]);
}
