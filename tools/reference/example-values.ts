import type { JsonValue } from '@bufbuild/protobuf';

export const ids = {
  user: '019ac5d0-7d3e-7b41-9c55-2f6a8e4d1b90',
  operator: '019ac5cf-3b08-7d15-a2e7-5c90d4f81b63',
  session: '019ac5d0-8a12-7c06-b3d1-6e0f9a27c584',
  account: '019ac5d0-7d3f-70a8-8e44-91b7d3c6f205',
  invite: '019ac5d1-19be-7e52-a6f0-3c84d15b7e9a',
  inviteCode: '019ac5d1-2c70-7f1d-95a3-b8e62f0c4d17',
  event: '019ac5d0-8a13-7ab9-8f27-d4c01e9b6a35',
};

export const texts = {
  accessToken: 'eyJhbGciOiJFUzI1NiIsImtpZCI6Ik5...',
  refreshToken: 'AgEBmsXQfT57QZxVL2qOTRuQAZrF0IoSfAaz0W4Pmifn...',
  linkToken: 'ghot_AZrd8mZkcXSFtTfu5jBE0q3Rv8mZk1XcT5bN7uYwE0pLdJhGfS2aAx9K',
  nonce: 'mJ2k9Q0vTzYb7wLx4cRfHs',
  inviteCode: 'ghi_Zt5vQ8nLr2XwKc7bYp1MdGfHs3JaE6uT',
  referralCode: 'ref-k7m2xq9d4tnw5yhb',
  keyId: 'Nq4vYx8sKd2mWc7bRf1LhGtZp3JaE6uT5oQiVxXrM0k',
};

const time = '2026-11-28T09:30:00Z';
const userAgent = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';

function session(method: string, kind = 'SESSION_KIND_WEB') {
  return {
    id: ids.session,
    userId: ids.user,
    kind,
    aal: 'ASSURANCE_LEVEL_AAL1',
    amr: [{ method, time }],
    deviceName: 'Firefox on Linux',
    userAgent,
    address: '203.0.113.7',
    createTime: time,
    lastActiveTime: time,
    idleExpireTime: '2026-12-05T09:30:00Z',
    expireTime: '2026-12-28T09:30:00Z',
    current: true,
  };
}

const justNow = { createTime: time, role: 'SYSTEM_ROLE_ENGINEER' };

/**
 * The values of fields in the example responses, by message and field, with a service or method before them where a
 * field is set in its responses only. A field whose value is undefined shows its default, or is absent if it has none.
 * Fields without a value show the default of their type; strings and numbers must have one.
 */
export const values: Readonly<Record<string, JsonValue | undefined>> = {
  'User.id': ids.user,
  'User.email': 'ada@example.org',
  'User.email_verified': true,
  'User.name': 'Ada',
  'User.create_time': '2026-11-01T08:00:00Z',
  'User.last_sign_in_time': time,
  'User.banned_until_time': undefined,
  'User.phone': '+44 20 7946 0000',
  'User.job_title': 'Analyst',
  'User.timezone': 'Europe/London',
  'User.locale': 'en',
  'User.pending_email': '',
  'User.account_id': '',
  'User.account_role': undefined,
  'User.app_metadata': undefined,
  'User.user_metadata': undefined,
  'AdminService.GetUser User.account_id': ids.account,
  'AdminService.GetUser User.account_role': 'ACCOUNT_ROLE_OWNER',
  'AdminService User.app_metadata': { plan: 'team' },
  'AdminService User.user_metadata': { theme: 'dark' },

  'gatehouse.v1.Session': session('password'),
  'gatehouse.v1.AuthenticationMethod': { method: 'password', time },
  'RegisterResponse.user': { id: ids.user, email: 'ada@example.org', name: 'Ada', ...justNow },
  'RegisterResponse.tokens': undefined,
  'RegisterResponse.session': undefined,
  'SignUpAnonymousResponse.user': { id: ids.user, isAnonymous: true, ...justNow },
  'SignUpAnonymousResponse.session': session('anonymous', 'SESSION_KIND_NATIVE'),
  'SignInWithMagicLinkResponse.session': session('otp'),
  'ImpersonateUserResponse.session': { ...session('impersonation'), current: false, impersonatorId: ids.operator },
  'Tokens.access_token': texts.accessToken,
  'Tokens.refresh_token': texts.refreshToken,
  'Tokens.token_type': 'bearer',
  'Tokens.expire_time': '2026-11-28T10:30:00Z',
  'IntrospectResponse.active': true,
  'IntrospectResponse.user_id': ids.user,
  'IntrospectResponse.session_id': ids.session,
  'IntrospectResponse.email': 'ada@example.org',
  'IntrospectResponse.expire_time': '2026-11-28T10:30:00Z',
  'IntrospectResponse.impersonator_id': '',
  'IntrospectResponse.email_verified': true,
  'IntrospectResponse.account_id': ids.account,

  'VerifyResetTokenResponse.valid': true,
  'VerifyResetTokenResponse.email': 'ada@example.org',
  'GetEmailVerificationStatusResponse.enabled': true,
  'GetSettingsResponse.sms_provider': '',
  'GetSettingsResponse.anonymous_users_enabled': true,
  'GetSettingsResponse.email_verification_enabled': true,
  'GetSettingsResponse.magic_link_enabled': true,
  'GetSettingsResponse.password_min_length': 8,

  'Account.id': ids.account,
  'Account.name': "Ada's Account",
  'Account.display_code': 'K7M2XQ9D',
  'Account.owner_id': ids.user,
  'Subscription.plan': 'pro',
  'Subscription.current_period_end_time': '2026-12-12T09:30:00Z',
  'Member.user_id': ids.user,
  'Member.email': 'ada@example.org',
  'Member.name': 'Ada',
  'AccountInvite.id': ids.invite,
  'AccountInvite.email': 'bob@example.org',
  'AccountInvite.role': 'ACCOUNT_ROLE_MEMBER',
  'AccountInvite.inviter_id': ids.user,
  'AccountInvite.expire_time': '2026-12-05T09:30:00Z',
  'AccountInvite.accept_time': undefined,
  'AccountInvite.revoke_time': undefined,
  // The caller of the example is a user.
  'CreateAccountInviteResponse.account_invite_code': '',
  'CreateAccountInviteResponse.link': '',
  'CreateAccountInviteResponse.mailed': true,
  'Usage.usage': '125',
  'Usage.limit': '5000',
  'Usage.next_reset_time': '2026-12-01T08:00:00Z',
  'GetReferralResponse.code': texts.referralCode,
  'GetReferralResponse.link': `https://app.example.org/?referral_code=${texts.referralCode}`,
  'GetReferralResponse.count': 2,
  'GetReferralResponse.limit': 5,

  'InviteCode.id': ids.inviteCode,
  'InviteCode.code': '4F2A1-9C0DE-B73E5-61A88',
  'InviteCode.assigned_plan': 'team',
  'InviteCode.trial_duration_days': 30,
  'InviteCode.expire_time': '2026-12-28T09:30:00Z',
  'InviteCode.use_time': undefined,
  'InviteCode.used_by': '',
  'SigningKey.id': texts.keyId,
  'SigningKey.state': 'SIGNING_KEY_STATE_ACTIVE',
  'SigningKey.algorithm': 'ES256',
  'ProjectSettings.auto_confirm_email': false,
  'ProjectSettings.email_verification': true,
  'ProjectSettings.sign_up': true,
  'AuditEvent.id': ids.event,
  'AuditEvent.action': 'auth.login',
  'AuditEvent.cause': '',
  'AuditEvent.actor_id': ids.user,
  'AuditEvent.user_id': ids.user,
  'AuditEvent.session_id': ids.session,
  'AuditEvent.address': '203.0.113.7',
  'AuditEvent.user_agent': userAgent,
  'AuditEvent.request_id': '7c9e6679-7425-40de-944b-e07fc1f90ae7',

  'google.protobuf.Timestamp': time,
  'google.protobuf.Duration': '3600s',
  'google.protobuf.Struct': { plan: 'team' },
  next_page_token: 'AZrF0IoSfAaz0W4Pmifn2w',
};
