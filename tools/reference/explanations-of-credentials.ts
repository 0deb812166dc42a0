import type { Reason } from '../../src/errors.ts';
import type { Explanation } from './explanations.ts';

const weakPassword = {
  reasons:
    'A comma-separated list of `too_short`, `common` and `context` (the name, the email address or the product).',
  min_length: 'The minimum number of code points.',
};
const providers = { providers: 'A comma-separated list of the external identity providers of the user.' };

/** The reasons about tokens, passwords, mailed links and what a caller may do. */
export const ofCredentials = {
  AUTHENTICATION_REQUIRED: {
    when: 'The method requires a credential, and the request carries none.',
    retry: 'no',
    action: 'Send `authorization: Bearer` with an access token or a service key.',
  },
  TOKEN_INVALID: {
    when: 'The access token is malformed, altered, from another issuer, or signed by an unknown or revoked key; or the service key is unknown.',
    retry: 'no',
    action: 'Call Refresh once. If the new token is refused too, sign in again. A backend checks its service key.',
  },
  API_KEY_INVALID: {
    when: 'The API key is unknown, mistyped, of another environment, revoked or expired; or its user was deleted or banned. The response is the same for all.',
    retry: 'no',
    action: 'Show the user that the key no longer works. They list their keys and create another.',
  },
  TOKEN_EXPIRED: {
    when: 'The access token has reached its `exp`.',
    retry: 'no',
    action: 'Call Refresh, then repeat the call with the new access token.',
  },
  TOKEN_SUPERSEDED: {
    when: 'The session was renewed after the access token was issued: by ChangePassword, or by the registration of a guest.',
    retry: 'no',
    action: 'Use the tokens of the ChangePassword or Register response. If they are lost, sign in again.',
  },
  SESSION_EXPIRED: {
    when: 'The session was idle for longer than its idle timeout, or has reached its maximum lifetime.',
    retry: 'no',
    action: 'Discard the tokens and sign in again.',
  },
  SESSION_REVOKED: {
    when: 'The session was revoked by its user, an operator, a password change or the reuse of a refresh token; or its user was deleted or banned.',
    retry: 'no',
    action: 'Discard the tokens and sign in again.',
  },
  INVALID_CREDENTIALS: {
    when: 'The email address is unknown or the password is wrong. The error does not reveal which.',
    retry: 'no',
    action: 'Ask for the credentials again, and offer RequestPasswordReset.',
  },
  REFRESH_TOKEN_INVALID: {
    when: 'The refresh token was not issued by this service, or was altered.',
    retry: 'no',
    action: 'Discard the tokens and sign in again.',
  },
  REFRESH_TOKEN_ALREADY_USED: {
    when: 'The refresh token was used before and its reuse interval is over. One of the two callers may be a thief, so the session was revoked.',
    retry: 'no',
    action:
      'Discard the tokens and sign in again. If it recurs, check that the client stores the new refresh token before it uses the new access token.',
  },
  REFRESH_TOKEN_SUPERSEDED: {
    when: 'ChangePassword, or Register for a guest, gave the session new tokens. The session goes on with those.',
    retry: 'no',
    action: 'Use the tokens of the ChangePassword or Register response. If they are lost, sign in again.',
  },
  CURRENT_PASSWORD_INCORRECT: {
    when: 'The current password is wrong.',
    retry: 'no',
    action: 'Ask for the password again.',
  },
  CALLER_NOT_ALLOWED: {
    when: 'The method does not admit this kind of caller: a user called a method for backends or operators, or a backend one for users. Or the scopes of the backend do not include the method; then the metadata `required_scope` names the scope.',
    retry: 'no',
    action:
      'Call with another credential, or add the scope to SERVICE_KEYS or SERVICE_CERTIFICATES. The reference names the callers of each method.',
  },
  GUEST_NOT_ALLOWED: {
    when: 'The caller is a guest, and the method is for registered users.',
    retry: 'no',
    action: 'Have the guest register. Their user id stays the same.',
  },
  PASSWORD_CHANGE_REQUIRED: {
    when: 'An operator required the user to change their password.',
    retry: 'no',
    action: 'Have the user call ChangePassword, then repeat the call.',
  },
  INSUFFICIENT_AAL: {
    when: 'The assurance level of the session is below what the method requires.',
    retry: 'no',
    action: 'Have the user verify a second factor, then repeat the call.',
    metadata: { required_aal: 'The required level: `aal2`.', current_aal: 'The level of the session: `aal1`.' },
  },
  REAUTHENTICATION_REQUIRED: {
    when: 'The user authenticated longer ago than the method allows.',
    retry: 'no',
    action: 'Have the user sign in again, then repeat the call with the new access token.',
    metadata: { max_age_seconds: 'The maximum time since the user authenticated, in seconds.' },
  },
  USER_BANNED: {
    when: 'The user is banned. SignIn returns this only with the correct password.',
    retry: 'no',
    action: 'Tell the user whom to contact. An operator can call UnbanUser.',
  },
  EMAIL_VERIFICATION_DISABLED: {
    when: 'Email addresses are not verified by mail (EMAIL_VERIFICATION).',
    retry: 'no',
    action: 'Do not offer verification. GetEmailVerificationStatus returns whether it is enabled.',
  },
  ANONYMOUS_SIGN_IN_DISABLED: {
    when: 'Guests are not admitted (ANONYMOUS_SIGN_IN).',
    retry: 'no',
    action: 'Have the user register or sign in. GetSettings returns whether guests are admitted.',
  },
  SIGN_UP_DISABLED: {
    when: 'Registration is disabled (SIGN_UP).',
    retry: 'no',
    action: 'Do not offer registration. GetSettings returns whether it is enabled.',
  },
  IMPERSONATION_NOT_ALLOWED: {
    when: 'The caller is an operator who impersonates a user, and the method changes data.',
    retry: 'no',
    action: 'Use a method of AdminService, or have the user make the change.',
  },
  PROJECT_MISMATCH: {
    when: 'The `gatehouse-project` header names another project than the credential.',
    retry: 'no',
    action: 'Leave the header out: with a credential, the project is that of the credential.',
  },
  WEAK_PASSWORD: {
    when: 'The password is too short, common, or little more than the name, the email address or the product.',
    retry: 'no',
    action: 'Show the reasons and ask for another password.',
    metadata: weakPassword,
  },
  PASSWORD_REQUIRED: {
    when: 'The new password is empty.',
    retry: 'no',
    action: 'Ask for a password. The token stays valid.',
  },
  CURRENT_PASSWORD_REQUIRED: {
    when: 'The email address is to change, and the current password is missing.',
    retry: 'no',
    action: 'Ask for the current password.',
  },
  SAME_PASSWORD: {
    when: 'The new password equals the current one.',
    retry: 'no',
    action: 'Ask for another password.',
  },
  TOKEN_REQUIRED: {
    when: 'The token is empty.',
    retry: 'no',
    action: 'Pass the token of the link. If it is lost, request a new mail.',
  },
  HASH_NOT_SUPPORTED: {
    when: 'The password hash has an unknown form, is damaged, or would cost too much to check.',
    retry: 'no',
    action: 'Create the user without a hash, then call SendPasswordReset.',
    metadata: { why: 'What is wrong with the hash, in words.' },
  },
  USE_OAUTH_PROVIDER: {
    when: 'The user has no password, and signs in with an external identity provider.',
    retry: 'no',
    action: 'Offer the external identity providers in the metadata, or RequestMagicLink.',
    metadata: providers,
  },
  PASSWORD_NOT_SET: {
    when: 'The user has no password and no identity: they sign in by mail or with a passkey.',
    retry: 'no',
    action: 'Set a password first: call RequestPasswordReset, or UpdateCredentials.',
  },
  EMAIL_ALREADY_REGISTERED: {
    when: 'Another user has the email address.',
    retry: 'no',
    action: 'Offer to sign in, or ask for another email address.',
  },
  EMAIL_ALREADY_VERIFIED: {
    when: 'The email address of the caller is already verified.',
    retry: 'no',
    action: 'Nothing. Read the user again.',
  },
  EMAIL_NOT_VERIFIED: {
    when: 'The method requires a verified email address.',
    retry: 'no',
    action: 'Offer SendVerificationEmail, then repeat the call.',
  },
  RESET_TOKEN_INVALID: {
    when: 'The password reset token was not issued by this service.',
    retry: 'no',
    action: 'Check that the link was copied completely, or request a new mail.',
  },
  RESET_TOKEN_USED_OR_EXPIRED: {
    when: 'The password reset token was used, has expired, or was replaced by a newer one.',
    retry: 'no',
    action: 'Request a new mail.',
  },
  VERIFICATION_TOKEN_INVALID: {
    when: 'The verification token was not issued by this service, or belongs to another user than the access token.',
    retry: 'no',
    action: 'Check that the link was copied completely, and that the right user is signed in.',
  },
  VERIFICATION_TOKEN_USED_OR_EXPIRED: {
    when: 'The verification token was used, has expired, or was replaced by a newer one.',
    retry: 'no',
    action: 'Read the user: the email address may be verified already. Otherwise request a new mail.',
  },
  OTP_EXPIRED: {
    when: 'The sign-in token or code is wrong, used, expired, replaced by a newer one, or was tried too often.',
    retry: 'no',
    action: 'Ask for the code again, or request a new mail.',
  },
  EXCHANGE_CODE_INVALID: {
    when: 'The code of ExchangeCode was used, has expired or was never issued.',
    retry: 'no',
    action: 'Request a new mail, and open its link.',
    metadata: { state: '`used`, `replaced` or `expired`. Absent for a code that was never issued.' },
  },
  CODE_VERIFIER_MISMATCH: {
    when: 'The code verifier is not that of the code challenge with which the mail was requested.',
    retry: 'no',
    action: 'Exchange the code in the browser that requested the mail.',
  },
  API_KEY_NOT_FOUND: {
    when: 'The caller has no API key with this id.',
    retry: 'no',
    action: 'Read the keys again.',
  },
  API_KEY_LIMIT_REACHED: {
    when: 'The caller has as many active API keys as API_KEYS_PER_USER permits, 50 by default.',
    retry: 'no',
    action: 'Revoke a key that is no longer needed.',
  },
  SESSION_NOT_FOUND: {
    when: 'The caller has no live session with this id.',
    retry: 'no',
    action: 'Read the sessions again.',
  },
  CANNOT_DELETE_CURRENT_SESSION: {
    when: 'The session to revoke is the one that makes the call.',
    retry: 'no',
    action: 'Call SignOut.',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;
