import { fromJson } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { type Action, entityOf } from '../../src/audit/draft.ts';
import { methods, nameOf } from '../support/contract.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { prepareSamples } from '../support/samples.ts';
import { start, wires } from '../support/start.ts';

/** The event that a successful call leaves in the audit trail. Null for calls that concern nobody's security. */
const eventOf: Record<string, Action | readonly Action[] | null> = {
  'AuthService.Register': 'auth.register',
  'AuthService.SignIn': 'auth.login',
  'AuthService.SignUpAnonymous': 'auth.sign_up_anonymous',
  'AuthService.GetMe': null,
  'AuthService.UpdateMe': ['auth.email_change.request', 'auth.profile_update'],
  'AuthService.DeleteMe': 'user.delete',
  'AuthService.ChangePassword': 'auth.password_change',
  'AuthService.RequestPasswordReset': 'auth.password_reset.request',
  'AuthService.VerifyResetToken': null,
  'AuthService.ResetPassword': 'auth.password_reset.complete',
  'AuthService.GetEmailVerificationStatus': null,
  'AuthService.SendVerificationEmail': 'auth.email_verification.request',
  'AuthService.VerifyEmail': 'auth.email_verified',
  'AuthService.RejectRegistration': 'auth.registration_reject',
  'AuthService.ConfirmEmailChange': 'auth.email_change.complete',
  'AuthService.RequestMagicLink': 'auth.magic_link.request',
  'AuthService.SignInWithMagicLink': 'auth.login',
  'AuthService.StartOAuth': null,
  'AuthService.FinishOAuth': 'auth.login',
  'AuthService.SignInWithIdToken': 'auth.login',
  'AuthService.StartIdentityLink': null,
  'AuthService.LinkIdentity': 'identity.link',
  'AuthService.ListIdentities': null,
  'AuthService.UnlinkIdentity': 'identity.unlink',
  'AuthService.GetSettings': null,
  'AuthService.VerifyOtp': ['auth.email_verified', 'auth.login'],
  'AuthService.ExchangeCode': 'auth.login',
  'AuthService.UpdateCredentials': ['auth.password_change', 'auth.profile_update'],
  'AuthService.ResendEmailChange': null,
  'AuthService.Reauthenticate': 'auth.reauthentication.request',
  'SessionService.Refresh': null,
  'SessionService.SignOut': 'auth.logout',
  'SessionService.ListSessions': null,
  'SessionService.GetSession': null,
  'SessionService.RevokeSession': 'session.revoke',
  'SessionService.Introspect': null,
  'DeviceService.StartCliLogin': 'device.start',
  'DeviceService.CheckCliLogin': null,
  'DeviceService.ClaimCliGuest': 'device.claim',
  'DeviceService.CompleteCliLogin': 'device.approve',
  'DeviceService.DenyCliLogin': 'device.deny',
  'DeviceService.PollCliLogin': 'device.redeem',
  'DeviceService.CancelLogin': 'device.cancel',
  'DeviceService.RequestDeviceCode': 'device.start',
  'DeviceService.GetDeviceCode': null,
  'DeviceService.ApproveDevice': 'device.approve',
  'DeviceService.DenyDevice': 'device.deny',
  'DeviceService.PollDeviceToken': ['api_key.create', 'device.redeem'],
  'DeviceService.CreateDashboardCode': 'device.start',
  'DeviceService.GetDashboardCode': null,
  'DeviceService.ApproveDashboardCode': 'device.approve',
  'DeviceService.DenyDashboardCode': 'device.deny',
  'DeviceService.RedeemDashboardCode': ['api_key.create', 'device.redeem'],
  'DeviceService.ListDevices': null,
  'DeviceService.RevokeDevice': 'api_key.revoke',
  'DeviceService.CreateApiKey': 'api_key.create',
  'DeviceService.ListApiKeys': null,
  'DeviceService.RevokeApiKey': 'api_key.revoke',
  'DeviceService.StartFingerprintLogin': 'device.start',
  'DeviceService.GetFingerprintLogin': null,
  'DeviceService.ConfirmFingerprintLogin': 'device.approve',
  'DeviceService.DenyFingerprintLogin': 'device.deny',
  'DeviceService.PollFingerprintLogin': 'device.redeem',
  'DeviceService.SignOutFingerprint': 'auth.logout',
  'AdminService.CreateUser': 'user.create',
  'AdminService.GetUser': null,
  'AdminService.ListUsers': null,
  'AdminService.UpdateUser': 'user.update',
  'AdminService.BanUser': 'user.ban',
  'AdminService.UnbanUser': 'user.unban',
  'AdminService.DeleteUser': 'user.delete',
  'AdminService.RevokeUserSessions': 'user.revoke_sessions',
  'AdminService.SendPasswordReset': 'user.send_password_reset',
  'AdminService.InviteUser': 'user.invite',
  'AdminService.GenerateLink': 'user.generate_link',
  'AdminService.ImpersonateUser': 'user.impersonate',
  'AdminService.GetSettings': null,
  'AdminService.UpdateSettings': 'settings.update',
  'AdminService.ListOAuthClients': null,
  'AdminService.CreateProject': 'project.create',
  'AdminService.GetProject': null,
  'AdminService.ListProjects': null,
  'AdminService.UpdateProject': 'project.update',
  'AdminService.ListSigningKeys': null,
  'AdminService.RotateSigningKey': 'key.rotate',
  'AdminService.RevokeSigningKey': 'key.revoke',
  'AdminService.ListAuditEvents': null,
  'AdminService.CreateInviteCode': 'invite_code.create',
  'AdminService.ListInviteCodes': null,
  'AdminService.GetAccount': null,
  'AdminService.ListAccounts': null,
  'AdminService.ListUserSessions': null,
  'AdminService.RevokeUserSession': 'session.revoke',
  'AdminService.ListUserFactors': null,
  'AdminService.RenameUserFactor': 'factor.rename',
  'AdminService.RemoveUserFactors': 'user.remove_factors',
  'AuthService.SignInWithResetToken': 'auth.login',
  'MfaService.EnrollFactor': 'factor.enroll',
  'MfaService.ChallengeFactor': null,
  'MfaService.VerifyFactor': 'factor.verify',
  'MfaService.UnenrollFactor': 'factor.unenroll',
  'MfaService.ListFactors': null,
  'MfaService.GetAssurance': null,
  'MfaService.GenerateRecoveryCodes': 'factor.generate_recovery_codes',
  'MfaService.BeginStepUp': null,
  'MfaService.FinishStepUp': 'factor.step_up',
  'MfaService.ListTrustedDevices': null,
  'MfaService.RevokeTrustedDevice': 'trusted_device.revoke',
  'MfaService.StartPasskeyRegistration': null,
  'MfaService.FinishPasskeyRegistration': 'passkey.register',
  'MfaService.StartPasskeySignIn': null,
  'MfaService.FinishPasskeySignIn': 'auth.login',
  'MfaService.ListPasskeys': null,
  'MfaService.RenamePasskey': 'passkey.rename',
  'MfaService.DeletePasskey': 'passkey.delete',
  'AccountService.GetAccount': null,
  'AccountService.ListAccounts': null,
  'AccountService.UpdateAccount': 'account.update',
  'AccountService.SwitchAccount': null,
  'AccountService.ListMembers': null,
  'AccountService.AddMember': 'account.member_add',
  'AccountService.UpdateMember': 'account.member_update',
  'AccountService.RemoveMember': 'account.member_remove',
  'AccountService.CreateAccountInvite': 'account.invite',
  'AccountService.ListAccountInvites': null,
  'AccountService.RevokeAccountInvite': 'account.invite_revoke',
  'AccountService.AcceptAccountInvite': 'account.join',
  'AccountService.GetUsage': null,
  'AccountService.ConsumeUsage': null,
  'AccountService.GetReferral': null,
  'AccountService.RedeemReferral': 'referral.redeem',
  'AccountService.ApplyBillingEvent': 'account.subscription',
};

// Calls without a credential: an unauthenticated caller names an address, or a billing system signs its event.
const byAnyone = new Set([
  'AuthService.RejectRegistration',
  'AuthService.RequestPasswordReset',
  'AuthService.SendVerificationEmail',
  'AuthService.RequestMagicLink',
  'AccountService.ApplyBillingEvent',
  'DeviceService.StartCliLogin',
  'DeviceService.CancelLogin',
  'DeviceService.RequestDeviceCode',
  'DeviceService.StartFingerprintLogin',
]);
const anyone = { actor_kind: 'anyone', actor_id: null };
const somebody = { actor_kind: expect.stringMatching(/^(user|service)$/), actor_id: expect.any(String) };

test.each(wires)('over %s each call leaves exactly its own event, with all fields', async (wire) => {
  expect(Object.keys(eventOf).sort(), 'every method is listed').toEqual(methods.map(nameOf).sort());
  const service = await start({ env: await providerEnv() });
  const sampleOf = await prepareSamples(service);
  const deviations: object[] = [];
  for (const method of methods) {
    const name = nameOf(method);
    const { request, headers } = await sampleOf(name);
    const sent = { ...headers, 'x-request-id': `g6-${name}` };
    const before = await service.database.query<{ id: string }>('select id from audit_events');
    const message = fromJson(method.input, request);
    await service.transport(wire).unary(method, undefined, undefined, new Headers(sent), message);
    const rows = await service.database.query('select * from audit_events where id <> all($1::uuid[])', [
      before.map(({ id }) => id),
    ]);
    const expected = [eventOf[name] ?? []].flat();
    if (JSON.stringify(rows.map(({ action }) => action).sort()) !== JSON.stringify(expected))
      deviations.push({ name, expected, rows });
    for (const row of rows)
      expect(row, name).toMatchObject({
        result: 'SUCCESS',
        request_id: `g6-${name}`,
        ...(byAnyone.has(name) ? anyone : somebody),
        address: expect.stringMatching(/./),
        user_agent: expect.stringMatching(/./),
        entity_type: entityOf[row.action as Action],
        entity_id: expect.stringMatching(/./),
      });
  }
  expect(deviations).toEqual([]);
});
