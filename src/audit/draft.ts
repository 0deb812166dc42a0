/** What an event concerns. */
export type EntityType =
  | 'user'
  | 'session'
  | 'api_key'
  | 'identity'
  | 'project'
  | 'account'
  | 'account_invite'
  | 'invite_code'
  | 'referral_code'
  | 'settings'
  | 'signing_key'
  | 'login_attempt'
  | 'factor'
  | 'trusted_device'
  | 'installation';

/** Every action, and the type of the entity that it concerns. */
export const entityOf = {
  'auth.register': 'user',
  'auth.sign_up_anonymous': 'user',
  'auth.login': 'user',
  'auth.login_failed': 'user',
  'auth.logout': 'user',
  'auth.refresh_reuse': 'user',
  'auth.profile_update': 'user',
  'auth.password_change': 'user',
  'auth.password_reset.request': 'user',
  'auth.password_reset.complete': 'user',
  'auth.email_verification.request': 'user',
  'auth.email_verified': 'user',
  'auth.registration_reject': 'user',
  'auth.email_change.request': 'user',
  'auth.email_change.complete': 'user',
  'auth.magic_link.request': 'user',
  'auth.reauthentication.request': 'user',
  'session.revoke': 'session',
  'session.evicted': 'session',
  'identity.link': 'identity',
  'identity.unlink': 'identity',
  'api_key.create': 'api_key',
  'api_key.revoke': 'api_key',
  'user.create': 'user',
  'user.ban': 'user',
  'user.unban': 'user',
  'user.delete': 'user',
  'user.merge': 'user',
  'account.update': 'account',
  'account.member_add': 'account',
  'account.member_update': 'account',
  'account.member_remove': 'account',
  'account.invite': 'account_invite',
  'account.invite_revoke': 'account_invite',
  'account.join': 'account',
  'account.subscription': 'account',
  'referral.redeem': 'referral_code',
  'invite_code.create': 'invite_code',
  'user.update': 'user',
  'user.grant_operator': 'user',
  'user.revoke_operator': 'user',
  'user.impersonate': 'user',
  'user.revoke_sessions': 'user',
  'user.send_password_reset': 'user',
  'user.invite': 'user',
  'user.generate_link': 'user',
  'user.import': 'user',
  'user.remove_factors': 'user',
  'project.revoke_sessions': 'project',
  'project.create': 'project',
  'project.update': 'project',
  'settings.update': 'settings',
  'key.import': 'signing_key',
  'key.rotate': 'signing_key',
  'key.revoke': 'signing_key',
  'device.start': 'login_attempt',
  'device.claim': 'login_attempt',
  'device.approve': 'login_attempt',
  'device.deny': 'login_attempt',
  'device.cancel': 'login_attempt',
  'device.redeem': 'login_attempt',
  'device.conflict': 'login_attempt',
  'factor.enroll': 'factor',
  'factor.verify': 'factor',
  'factor.verify_failed': 'factor',
  'factor.copy_suspected': 'factor',
  'factor.step_up': 'factor',
  'trusted_device.add': 'trusted_device',
  'trusted_device.revoke': 'trusted_device',
  'factor.unenroll': 'factor',
  'factor.rename': 'factor',
  'factor.generate_recovery_codes': 'factor',
  'passkey.register': 'factor',
  'passkey.rename': 'factor',
  'passkey.delete': 'factor',
  'installation.drop': 'installation',
} as const satisfies Record<string, EntityType>;

export type Action = keyof typeof entityOf;

/** The actions that concern an entity of this type. */
export type ActionOn<Type extends EntityType> = {
  [Each in Action]: (typeof entityOf)[Each] extends Type ? Each : never;
}[Action];

/** Events have columns for these, or the call has. */
type Known = 'user' | 'session';

interface Described {
  /** The user concerned. By default the caller. */
  readonly userId?: string | undefined;
  readonly sessionId?: string | undefined;
  /** The true cause of a failure; the reason in the response may reveal less. */
  readonly cause?: string;
}

/**
 * The part of an event that a domain supplies. The caller, the address and the time come from the call. The id of the entity
 * is that of the user or the session. An event about a project without an id is about the project of the call. Every other
 * entity is named.
 */
export type EventDraft = Described &
  (
    | { readonly action: ActionOn<Known>; readonly entityId?: never }
    | { readonly action: ActionOn<'project'>; readonly entityId?: string }
    | { readonly action: ActionOn<Exclude<EntityType, Known | 'project'>>; readonly entityId: string }
  );
