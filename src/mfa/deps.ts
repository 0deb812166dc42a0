import type { ServiceImpl } from '@connectrpc/connect';
import type { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import type { Outbox } from '../mail/outbox.ts';
import type { Projects } from '../project/projects.ts';
import type { ConfiguredSettings } from '../project/settings.ts';
import type { KeyRing } from '../session/key-ring.ts';
import type { SessionOpener } from '../session/session-opener.ts';
import type { FailedAttempts } from '../throttle/failed-attempts.ts';
import type { UserBudget } from '../throttle/user-budget.ts';
import type { FactorMail } from './factor-mail.ts';
import type { RelyingParty } from './webauthn/relying-party.ts';

/** FinishPasskeySignIn is with the other sign-ins: auth/passkey-sign-in.ts. */
export type MfaMethods = Omit<ServiceImpl<typeof MfaService>, 'finishPasskeySignIn'>;

/** What MfaService's methods work with. */
export interface MfaDeps {
  readonly now: Clock;
  readonly keys: MasterKeys;
  readonly opener: SessionOpener;
  readonly ring: KeyRing;
  /** Of the proofs, as of access tokens. */
  readonly issuer: string;
  readonly outbox: Outbox;
  readonly factorMail: FactorMail;
  readonly registration: ConfiguredSettings;
  /** TRUSTED_DEVICE_DAYS. Undefined: no device is trusted. */
  readonly trustedDeviceDays: number | undefined;
  readonly projects: Projects;
  readonly relyingParty: RelyingParty;
  /** Whether users can sign in with the provider of this name. */
  readonly isProvider: (name: string, projectId: string) => boolean;
  /** Wrong codes, counted by factor. */
  readonly wrongFactorCodes: FailedAttempts;
  /** Challenges that one user may begin in a minute. */
  readonly challengeBudget: UserBudget;
}
