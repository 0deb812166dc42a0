import { health, settings } from './about.ts';
import { listAuditEvents } from './admin-audit.ts';
import { listFactors, listUserPasskeys, removeFactor, removePasskey, renameFactor } from './admin-factors.ts';
import { generateLink, invite } from './admin-links.ts';
import { listClients, refuseChange, refuseCreation, showClient } from './admin-oauth-clients.ts';
import { changeUser, createUser, listUsers, removeUser, showUser } from './admin-users.ts';
import type { RouteName } from './error-table.ts';
import { challengeFactor, enrollFactor, unenrollFactor, verifyFactor } from './factors.ts';
import { signInWithIdToken } from './id-token.ts';
import { authorizeLink, unlink } from './identities.ts';
import { reauthenticate, recover, resend, sendMagicLink, sendOtp } from './mails.ts';
import { offRoutes } from './off-routes.ts';
import { deleteUser, getUser, listSessions, signOut, updateUser } from './own-user.ts';
import {
  deletePasskey,
  finishRegistration,
  finishSignIn,
  listPasskeys,
  renamePasskey,
  startRegistration,
  startSignIn,
} from './passkeys.ts';
import { authorize, finish, finishPosted } from './providers.ts';
import type { Route } from './route.ts';
import { signUp, signUpAnonymously } from './sign-up.ts';
import { exchangeCode, refresh, signIn, unsupportedGrant, web3 } from './token.ts';
import { openLink, verifyCode, verifyHash } from './verify.ts';

const isGuest: Route['fits'] = ({ body }) => !body.text('email') && !body.text('phone');
const isGrant =
  (grant: string): Route['fits'] =>
  ({ query, body }) =>
    (query.get('grant_type') || body.text('grant_type')) === grant;

const isHash: Route['fits'] = ({ body }) => body.text('token_hash') !== '' && body.text('token') === '';

const getMe = 'AuthService.GetMe';
const shown = ['GetUser', 'ListUserFactors'];
const removal = ['ListUserFactors', 'RemoveUserFactors'];

/** The routes. Of those with the same path and method the first that fits serves the request. */
export const routes: readonly Route[] = [
  ...offRoutes,
  { method: 'GET', path: '/health', name: 'about', calls: [], serve: health, isOpen: true },
  { method: 'GET', path: '/settings', name: 'about', calls: ['AuthService.GetSettings'], serve: settings },
  {
    ...{ method: 'POST', path: '/signup', name: 'sign up as a guest', serve: signUpAnonymously, fits: isGuest },
    calls: ['AuthService.SignUpAnonymous', getMe],
  },
  {
    ...{ method: 'POST', path: '/signup', name: 'sign up', serve: signUp },
    calls: ['AuthService.Register', 'AuthService.GetSettings', 'AuthService.SendVerificationEmail', getMe],
  },
  {
    ...{ method: 'POST', path: '/token', name: 'sign in', serve: signIn, fits: isGrant('password') },
    calls: ['AuthService.SignIn', getMe],
  },
  {
    ...{ method: 'POST', path: '/token', name: 'refresh', serve: refresh, fits: isGrant('refresh_token') },
    calls: ['SessionService.Refresh'],
  },
  {
    ...{ method: 'POST', path: '/token', name: 'exchange a code', serve: exchangeCode, fits: isGrant('pkce') },
    calls: ['AuthService.ExchangeCode', getMe],
  },
  {
    ...{ method: 'POST', path: '/token', name: 'sign in by ID token', serve: signInWithIdToken },
    ...{ calls: ['AuthService.SignInWithIdToken', 'AuthService.LinkIdentity', getMe], fits: isGrant('id_token') },
  },
  {
    ...{ method: 'GET', path: '/authorize', name: 'start with a provider', serve: authorize, isOpen: true },
    calls: ['AuthService.StartOAuth', 'AuthService.GetSettings'],
  },
  {
    ...{ method: 'GET', path: '/callback', name: 'finish with a provider', serve: finish, isOpen: true },
    calls: ['AuthService.FinishOAuth'],
  },
  {
    ...{ method: 'POST', path: '/callback', name: 'finish with a provider', serve: finishPosted, isOpen: true },
    calls: ['AuthService.FinishOAuth'],
  },
  {
    ...{ method: 'GET', path: '/user/identities/authorize', name: 'identities', serve: authorizeLink },
    calls: ['AuthService.StartIdentityLink'],
  },
  {
    ...{ method: 'DELETE', path: '/user/identities/:id', name: 'identities', serve: unlink },
    calls: [getMe, 'AuthService.UnlinkIdentity'],
  },
  { method: 'POST', path: '/token', name: 'about', calls: [], serve: web3, fits: isGrant('web3') },
  { method: 'POST', path: '/token', name: 'about', calls: [], serve: unsupportedGrant },
  { method: 'GET', path: '/user', name: 'user', calls: [getMe], serve: getUser },
  {
    ...{ method: 'PUT', path: '/user', name: 'user', serve: updateUser },
    calls: ['AuthService.UpdateCredentials', getMe],
  },
  { method: 'DELETE', path: '/user', name: 'user', calls: ['AuthService.DeleteMe'], serve: deleteUser },
  { method: 'POST', path: '/logout', name: 'sign out', calls: ['SessionService.SignOut'], serve: signOut },
  {
    ...{ method: 'GET', path: '/verify', name: 'verify a link', serve: openLink, isOpen: true },
    calls: ['AuthService.VerifyOtp'],
  },
  {
    ...{ method: 'POST', path: '/verify', name: 'verify a link', serve: verifyHash, fits: isHash },
    calls: ['AuthService.VerifyOtp', getMe],
  },
  {
    ...{ method: 'POST', path: '/verify', name: 'verify a code', serve: verifyCode },
    calls: ['AuthService.VerifyOtp', getMe],
  },
  { method: 'POST', path: '/otp', name: 'send mail', calls: ['AuthService.RequestMagicLink'], serve: sendOtp },
  {
    ...{ method: 'POST', path: '/magiclink', name: 'send mail', serve: sendMagicLink },
    calls: ['AuthService.RequestMagicLink'],
  },
  { method: 'POST', path: '/recover', name: 'send mail', calls: ['AuthService.RequestPasswordReset'], serve: recover },
  {
    ...{ method: 'POST', path: '/resend', name: 'send mail', serve: resend },
    calls: ['AuthService.SendVerificationEmail', 'AuthService.ResendEmailChange'],
  },
  {
    ...{ method: 'GET', path: '/reauthenticate', name: 'send mail', serve: reauthenticate },
    calls: ['AuthService.Reauthenticate'],
  },
  ...administration('POST', '/invite', invite, 'InviteUser'),
  ...administration('GET', '/admin/users', listUsers, 'ListUsers'),
  ...administration('POST', '/admin/users', createUser, 'CreateUser', 'BanUser'),
  ...administration('GET', '/admin/users/:id', showUser, ...shown),
  ...administration('PUT', '/admin/users/:id', changeUser, 'UpdateUser', 'BanUser', 'UnbanUser', ...shown),
  ...administration('DELETE', '/admin/users/:id', removeUser, 'DeleteUser'),
  ...administration('POST', '/admin/generate_link', generateLink, 'GenerateLink'),
  ...administration('GET', '/admin/audit', listAuditEvents, 'ListAuditEvents'),
  ...administration('GET', '/admin/oauth/clients', listClients, 'ListOAuthClients'),
  ...administration('GET', '/admin/oauth/clients/:id', showClient, 'ListOAuthClients'),
  ...administration('POST', '/admin/oauth/clients', refuseCreation, 'ListOAuthClients'),
  ...administration('PUT', '/admin/oauth/clients/:id', refuseChange, 'ListOAuthClients'),
  ...administration('DELETE', '/admin/oauth/clients/:id', refuseChange, 'ListOAuthClients'),
  ...administration('POST', '/admin/oauth/clients/:id/regenerate_secret', refuseChange, 'ListOAuthClients'),
  ...mfa('enrol a factor', 'POST', '/factors', enrollFactor, 'EnrollFactor'),
  ...mfa('challenge a factor', 'POST', '/factors/:id/challenge', challengeFactor, 'ChallengeFactor'),
  {
    ...{ method: 'POST', path: '/factors/:id/verify', name: 'verify a factor', serve: verifyFactor },
    calls: ['MfaService.VerifyFactor', getMe],
  },
  ...mfa('unenrol a factor', 'DELETE', '/factors/:id', unenrollFactor, 'UnenrollFactor'),
  ...mfa('register a passkey', 'POST', '/passkeys/registration/options', startRegistration, 'StartPasskeyRegistration'),
  ...mfa(
    'register a passkey',
    'POST',
    '/passkeys/registration/verify',
    finishRegistration,
    'FinishPasskeyRegistration',
  ),
  ...mfa('sign in with a passkey', 'POST', '/passkeys/authentication/options', startSignIn, 'StartPasskeySignIn'),
  {
    ...{ method: 'POST', path: '/passkeys/authentication/verify', name: 'sign in with a passkey', serve: finishSignIn },
    calls: ['MfaService.FinishPasskeySignIn', getMe],
  },
  ...mfa('manage a passkey', 'GET', '/passkeys', listPasskeys, 'ListPasskeys'),
  ...mfa('manage a passkey', 'PATCH', '/passkeys/:id', renamePasskey, 'RenamePasskey'),
  ...mfa('manage a passkey', 'DELETE', '/passkeys/:id', deletePasskey, 'DeletePasskey'),
  ...administration('GET', '/admin/users/:id/factors', listFactors, 'ListUserFactors'),
  ...administration('PUT', '/admin/users/:id/factors/:factor_id', renameFactor, 'ListUserFactors', 'RenameUserFactor'),
  ...administration('DELETE', '/admin/users/:id/factors/:factor_id', removeFactor, ...removal),
  ...administration('GET', '/admin/users/:id/passkeys', listUserPasskeys, 'ListUserFactors'),
  ...administration('DELETE', '/admin/users/:id/passkeys/:passkey_id', removePasskey, ...removal),
  { method: 'GET', path: '/sessions', name: 'sessions', calls: ['SessionService.ListSessions'], serve: listSessions },
];

function administration(
  method: Route['method'],
  path: string,
  serve: Route['serve'],
  ...calls: readonly string[]
): Route[] {
  return [{ method, path, name: 'administer users', serve, calls: calls.map((each) => `AdminService.${each}`) }];
}

/** A route that calls one method of MfaService. */
function mfa(name: RouteName, method: Route['method'], path: string, serve: Route['serve'], call: string): Route[] {
  return [{ method, path, name, serve, calls: [`MfaService.${call}`] }];
}
