import { Account } from '../account/account.ts';
import { BillingEvent, Subscription } from '../account/billing/subscription.ts';
import { AccountInvite } from '../account/invites/invite.ts';
import { InviteCode } from '../account/invites/invite-code.ts';
import { Membership } from '../account/membership.ts';
import { Referral, ReferralCode } from '../account/usage/referral.ts';
import { UsageCounter } from '../account/usage/usage.ts';
import { ApiKey } from '../api-key/api-key.ts';
import { AuditAnchor } from '../audit/anchor.ts';
import { AuditEvent } from '../audit/event.ts';
import { AuditUnsealed } from '../audit/queue.ts';
import { AuditSeal } from '../audit/seal.ts';
import { OAuthState } from '../auth/oauth/oauth-state.ts';
import { LoginAttempt } from '../device/attempt-table.ts';
import { Mail } from '../mail/mail.ts';
import { Challenge } from '../mfa/challenge.ts';
import { Factor } from '../mfa/factor.ts';
import { RecoveryCode } from '../mfa/recovery-code.ts';
import { WebauthnCredential } from '../mfa/webauthn/credential.ts';
import { OneTimeToken } from '../one-time/token.ts';
import { Heartbeat, Outage } from '../project/heartbeat.ts';
import { Installation } from '../project/installation.ts';
import { Project } from '../project/project.ts';
import { ProjectSettings } from '../project/settings.ts';
import { RequestId } from '../request-id/request-id-table.ts';
import { Session } from '../session/session.ts';
import { SigningKey } from '../session/signing-key.ts';
import { TrustedDevice } from '../session/trusted-device.ts';
import { DurableRateLimit, RateLimit } from '../throttle/rate-limit-table.ts';
import { HashShare } from '../user/decoy-hashes.ts';
import { Identity } from '../user/identity.ts';
import { Operator } from '../user/operator.ts';
import { User } from '../user/user.ts';
import { Lease } from './lease.ts';

const accounts = [
  Account,
  Membership,
  AccountInvite,
  InviteCode,
  Subscription,
  BillingEvent,
  UsageCounter,
  ReferralCode,
  Referral,
];

/** Every table, in the order of their references. */
export const entities = [
  Installation,
  Heartbeat,
  Outage,
  Lease,
  Project,
  ProjectSettings,
  User,
  Operator,
  Identity,
  HashShare,
  Session,
  ApiKey,
  SigningKey,
  AuditEvent,
  OneTimeToken,
  Mail,
  ...accounts,
  AuditUnsealed,
  AuditSeal,
  AuditAnchor,
  RateLimit,
  DurableRateLimit,
  RequestId,
  LoginAttempt,
  Factor,
  RecoveryCode,
  WebauthnCredential,
  Challenge,
  TrustedDevice,
  OAuthState,
];
