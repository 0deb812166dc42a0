import type { Reason } from '../../src/errors.ts';
import type { Explanation } from './explanations.ts';

/** The reasons about users, accounts, invitations, usage, billing and the installation. */
export const ofAccounts = {
  USER_NOT_FOUND: {
    when: 'There is no user with this id, or the user was deleted.',
    retry: 'no',
    action: 'Remove the user from the list. If it is the caller, discard the tokens.',
  },
  ACCOUNT_NOT_FOUND: {
    when: 'There is no account with this id, or the caller does not belong to it.',
    retry: 'no',
    action: 'Read the accounts of the user again.',
  },
  MEMBER_NOT_FOUND: {
    when: 'The user does not belong to the account.',
    retry: 'no',
    action: 'Read the members again.',
  },
  ROLE_NOT_SUFFICIENT: {
    when: 'The role of the caller in the account does not allow this.',
    retry: 'no',
    action: 'Ask an owner of the account.',
  },
  LAST_OWNER: {
    when: 'The account would be left without an owner who is not banned.',
    retry: 'no',
    action: 'Make another member an owner first.',
  },
  ALREADY_A_MEMBER: {
    when: 'The user already belongs to the account.',
    retry: 'no',
    action: 'Nothing, or change the role with UpdateMember.',
  },
  ALREADY_INVITED: {
    when: 'The email address has a pending invitation into the account.',
    retry: 'no',
    action: 'Wait for the invitation to be accepted, or revoke it and create another.',
  },
  ACCOUNT_INVITE_LIMIT_REACHED: {
    when: 'The account has 100 pending invitations.',
    retry: 'no',
    action: 'Revoke invitations that are no longer needed.',
  },
  ACCOUNT_INVITE_NOT_FOUND: {
    when: 'The account has no pending invitation with this id.',
    retry: 'no',
    action: 'Read the invitations again: it may be accepted, revoked or expired.',
  },
  INVALID_ACCOUNT_INVITE_CODE: {
    when: 'The account invitation does not exist or was revoked.',
    retry: 'no',
    action: 'Check that the link was copied completely, or ask for a new invitation.',
  },
  ACCOUNT_INVITE_CODE_USED: {
    when: 'The account invitation was accepted before.',
    retry: 'no',
    action: 'Sign in: the user may already be a member.',
  },
  ACCOUNT_INVITE_CODE_EXPIRED: {
    when: 'The account invitation has expired.',
    retry: 'no',
    action: 'Ask for a new invitation.',
  },
  INVITE_EMAIL_MISMATCH: {
    when: 'The account invitation is for another email address.',
    retry: 'no',
    action: 'Sign in or register with the invited email address.',
  },
  INVITE_CODE_REQUIRED: {
    when: 'Registration requires an invite code (REQUIRE_INVITE_CODE).',
    retry: 'no',
    action: 'Ask for an invite code.',
  },
  INVALID_INVITE_CODE: {
    when: 'The invite code does not exist.',
    retry: 'no',
    action: 'Ask for the code again.',
  },
  INVITE_CODE_USED: {
    when: 'The invite code was used before.',
    retry: 'no',
    action: 'Ask for another code.',
  },
  INVITE_CODE_EXPIRED: {
    when: 'The invite code has expired.',
    retry: 'no',
    action: 'Ask for another code.',
  },
  PROJECT_EXISTS: {
    when: 'There is already a project with this slug.',
    retry: 'no',
    action: 'Choose another slug.',
  },
  SERVICE_KEY_EXISTS: {
    when: 'The service key or its name is already in use. A key belongs to one project only.',
    retry: 'no',
    action: 'Create a new key, or remove the old one in the same call.',
  },
  INVITE_CODE_EXISTS: {
    when: 'There is already an invite code with this text.',
    retry: 'no',
    action: 'Choose another text, or none for a random code.',
  },
  REGISTRATION_REQUIRED: {
    when: 'The user is a guest, and the operation is for registered users.',
    retry: 'no',
    action: 'Have the guest register.',
  },
  USAGE_DISABLED: {
    when: 'Usage is not counted (USAGE).',
    retry: 'no',
    action: 'Do not call the methods for usage and referrals.',
  },
  QUOTA_EXCEEDED: {
    when: 'The amount exceeds what is left of the quota of this month. Nothing was consumed.',
    retry: 'no',
    action: 'Show the limit, and offer a subscription or wait for the reset.',
    metadata: {
      usage: 'The amount consumed this month.',
      limit: 'The monthly limit.',
      reset: 'When the usage is reset to zero, as in RFC 3339.',
    },
  },
  REFERRAL_CODE_NOT_FOUND: {
    when: 'The referral code does not exist.',
    retry: 'no',
    action: 'Ask for the code again.',
  },
  OWN_REFERRAL_CODE: {
    when: "The referral code is the caller's own.",
    retry: 'no',
    action: 'Share the code with somebody else.',
  },
  REFERRAL_ALREADY_REDEEMED: {
    when: 'The caller has redeemed a referral code before.',
    retry: 'no',
    action: 'Nothing: a user can redeem one code.',
  },
  MUTUAL_REFERRAL: {
    when: "The owner of the code has redeemed the caller's code.",
    retry: 'no',
    action: 'Redeem the code of another user.',
  },
  REFERRAL_LIMIT_REACHED: {
    when: 'As many users as possible have redeemed the code.',
    retry: 'no',
    action: 'Redeem the code of another user.',
  },
  BILLING_SIGNATURE_INVALID: {
    when: 'The signature of the webhook is wrong, its time is more than five minutes off, or no secret is configured (BILLING_WEBHOOK_SECRETS).',
    retry: 'no',
    action: 'Compare the secrets, and pass the payload on without changing a byte.',
  },
  BILLING_EVENT_INVALID: {
    when: 'The payload of the webhook is not JSON, or lacks a field.',
    retry: 'no',
    action: 'Compare the payload with `ApplyBillingEventRequest.payload`.',
  },
  MAIL_DISABLED: {
    when: 'The service sends no mail (MAIL_MODE).',
    retry: 'no',
    action: 'Configure a mail server.',
  },
  USER_WITHOUT_EMAIL: {
    when: 'The user is a guest and has no email address.',
    retry: 'no',
    action: 'Have the guest register.',
  },
  CANNOT_DEMOTE_SELF: {
    when: 'An operator would remove their own role.',
    retry: 'no',
    action: 'Have another operator remove it.',
  },
  CANNOT_REMOVE_SELF: {
    when: 'An operator would ban or delete themselves.',
    retry: 'no',
    action: 'Have another operator do it.',
  },
  CANNOT_IMPERSONATE_OPERATOR: {
    when: 'The user to impersonate is an operator.',
    retry: 'no',
    action: 'Impersonate a user without that role.',
  },
  SIGNING_KEY_NOT_FOUND: {
    when: 'There is no signing key with this id.',
    retry: 'no',
    action: 'Read the keys again.',
  },
  KEY_TOO_YOUNG: {
    when: 'Verifiers may have cached a key set without the standby key.',
    retry: 'after the delay',
    action: 'Wait as long as `RetryInfo` says. If a key is compromised, call RevokeSigningKey.',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;
