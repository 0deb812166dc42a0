import type { ServiceImpl } from '@connectrpc/connect';
import type { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import type { Messages } from '../mail/mail-messages.ts';
import type { Outbox } from '../mail/outbox.ts';
import type { ConfiguredSettings } from '../project/settings.ts';
import type { SessionOpener } from '../session/session-opener.ts';
import type { FailedAttempts } from '../throttle/failed-attempts.ts';
import type { UserBudget } from '../throttle/user-budget.ts';
import type { RelyingParty } from './webauthn/relying-party.ts';

/** FinishPasskeySignIn is with the other sign-ins: auth/passkey-sign-in.ts. */
export type MfaMethods = Omit<ServiceImpl<typeof MfaService>, 'finishPasskeySignIn'>;

/** What MfaService's methods work with. */
export interface MfaDeps {
  readonly now: Clock;
  readonly keys: MasterKeys;
  readonly opener: SessionOpener;
  readonly outbox: Outbox;
  readonly messages: Messages;
  readonly registration: ConfiguredSettings;
  /** APP_NAME: the name in authenticator apps. */
  readonly appName: string;
  readonly relyingParty: RelyingParty;
  /** Wrong codes, counted by factor. */
  readonly wrongFactorCodes: FailedAttempts;
  /** Challenges that one user may begin in a minute. */
  readonly challengeBudget: UserBudget;
}
