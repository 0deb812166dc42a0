export type Action =
  | 'auth.register'
  | 'auth.sign_up_anonymous'
  | 'auth.login'
  | 'auth.login_failed'
  | 'auth.logout'
  | 'auth.refresh_reuse'
  | 'auth.profile_update'
  | 'auth.password_change'
  | 'auth.password_reset.request'
  | 'auth.password_reset.complete'
  | 'auth.email_verification.request'
  | 'auth.email_verified'
  | 'auth.registration_reject'
  | 'auth.email_change.request'
  | 'auth.email_change.complete'
  | 'auth.magic_link.request'
  | 'session.revoke'
  | 'session.evicted'
  | 'user.create'
  | 'user.ban'
  | 'user.unban'
  | 'user.delete'
  | 'account.update'
  | 'account.member_add'
  | 'account.member_update'
  | 'account.member_remove'
  | 'account.invite'
  | 'account.invite_revoke'
  | 'account.join'
  | 'account.subscription'
  | 'referral.redeem'
  | 'invite_code.create'
  | 'user.update'
  | 'user.grant_operator'
  | 'user.revoke_operator'
  | 'user.impersonate'
  | 'user.revoke_sessions'
  | 'user.send_password_reset'
  | 'user.import'
  | 'project.revoke_sessions'
  | 'settings.update'
  | 'key.rotate'
  | 'key.revoke'
  | 'installation.drop';

/** The part of an event that a domain supplies. The caller, the address and the time come from the call. */
export interface EventDraft {
  readonly action: Action;
  /** The user concerned. By default the caller. */
  readonly userId?: string | undefined;
  readonly sessionId?: string | undefined;
  /** The true cause of a failure; the reason in the response may reveal less. */
  readonly cause?: string;
}
