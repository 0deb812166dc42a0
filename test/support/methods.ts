import { SigningKeyState } from '../../gen/gatehouse/v1/admin_pb.ts';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { callAccountMethods, callInviteCodeMethods } from './account-methods.ts';
import { callDeviceMethods } from './device-methods.ts';
import { callFactorMethods } from './factor-methods.ts';
import { callGrantMethods } from './grant-methods.ts';
import { lastMail, rejectionLinkFor, tokenFor } from './inbox.ts';
import { callKeyMethods } from './key-methods.ts';
import { callOAuthMethods } from './oauth-methods.ts';
import { callPasskeyMethods } from './passkey-methods.ts';
import { ada, asService, bob, grace } from './people.ts';
import { callProjectMethods } from './project-methods.ts';
import type { SentStatement } from './proxy.ts';
import { callSiteMethods } from './site-methods.ts';
import type { TestService, Wire } from './start.ts';

/** A successful call of one method. The name of a further case of a method ends with a remark in brackets. */
export interface Step {
  readonly name: string;
  readonly call: () => Promise<unknown>;
}

export type Run = <T>(name: string, call: () => Promise<T>) => Promise<T>;

// Statements of background jobs: mail, sealing of events, the health probe, signing keys and the clock.
const backgroundNames =
  /^(login_attempt_changes|api_keys_stamp|mail_(?!enqueue|budget)\w+|audit_(last_seal|events_of_queue|anchor_write|seals_to_drop|days_\w+|misfiled|refile|add_day|drop_days)|insert_audit_seals|leases_\w+|lease_lock)$/;
const backgroundTexts = /audit_unsealed|enable_seqscan|from "signing_keys"|clock_timestamp|^set transaction/;

function isBackground({ name, text }: SentStatement): boolean {
  return name ? backgroundNames.test(name) : backgroundTexts.test(text);
}

/**
 * The statements of calls, without those of background jobs and their transactions, even if only the end or only the
 * beginning of such a transaction is seen.
 */
export function ofCalls(statements: readonly SentStatement[]): SentStatement[] {
  const open = new Map<number, SentStatement[]>();
  const dropped = new Set<SentStatement>();
  const drop = (all: readonly SentStatement[]): void => {
    for (const each of all) dropped.add(each);
  };
  for (const each of statements) {
    if (each.text === 'begin') open.set(each.connection, []);
    const transaction = open.get(each.connection);
    transaction?.push(each);
    const isEnd = /^(commit|rollback)$/.test(each.text);
    if (isBackground(each) || (isEnd && !transaction)) drop([each]);
    if (transaction?.some((part) => dropped.has(part))) drop(transaction);
    if (isEnd) open.delete(each.connection);
  }
  for (const transaction of open.values()) if (transaction.length === 1) drop(transaction);
  return statements.filter((each) => !dropped.has(each));
}

/** Stops the sealing of events, whose transactions begin and commit like those of calls. */
export async function keepTrailUnsealed({ database }: TestService): Promise<void> {
  await database.query('alter table audit_events disable trigger audit_events_queue');
}

/**
 * Calls every method of the service once, in an order in which each succeeds. The service has the settings of `providerEnv`. `around` runs
 * each call.
 */
export async function callEveryMethod(
  service: TestService,
  wire: Wire,
  around: (step: Step) => Promise<unknown> = ({ call }) => call(),
): Promise<void> {
  const { auth, sessions, admin } = service.clients(wire);
  async function step<T>(name: string, call: () => Promise<T>): Promise<T> {
    let answer!: T;
    await around({ name, call: async () => (answer = await call()) });
    return answer;
  }
  const created = await step('CreateUser', () => admin.createUser(ada, asService));
  const signedIn = await step('SignIn', () => auth.signIn(ada));
  const as = { headers: { authorization: `Bearer ${signedIn.tokens!.accessToken}` } };
  await step('GetMe', () => auth.getMe({}, as));
  const first = await step('Refresh', () => sessions.refresh({ refreshToken: signedIn.tokens!.refreshToken }));
  const { refreshToken } = first.tokens!;
  const { tokens } = await step('Refresh (with the user)', () => sessions.refresh({ refreshToken, includeUser: true }));
  await step('Introspect', () => sessions.introspect({ token: tokens!.accessToken }, asService));
  await step('ListSessions', () => sessions.listSessions({}, as));
  await step('GetSession', () => sessions.getSession({ sessionId: signedIn.session!.id }, as));
  const other = await auth.signIn(ada);
  await step('RevokeSession', () => sessions.revokeSession({ sessionId: other.session!.id }, as));
  await step('SignOut', () => sessions.signOut({ refreshToken: tokens!.refreshToken }));
  const again = bearerOf(await auth.signIn(ada));
  await step('SignOut (all)', () => sessions.signOut({ scope: SignOutScope.GLOBAL }, again));
  await step('Register', () => auth.register(bob));
  const guest = bearerOf(await step('SignUpAnonymous', () => auth.signUpAnonymous({})));
  await step('Register (guest)', () => auth.register({ ...bob, email: 'guest@example.org' }, guest));
  await callMailed(service, wire, step);
  const { id: userId } = created.user!;
  await step('GetUser', () => admin.getUser({ userId }, asService));
  const { user: future } = await step('CreateUser (operator)', () => admin.createUser(grace, asService));
  const grant = { userId: future!.id, role: SystemRole.OPERATOR };
  await step('UpdateUser (operator)', () => admin.updateUser(grant, asService));
  const operator = { as: bearerOf(await step('SignIn (operator)', () => auth.signIn(grace))) };
  await step('ListUsers', () => admin.listUsers({}, asService));
  await step('ListUsers (prefix)', () => admin.listUsers({ emailPrefix: 'ada' }, asService));
  await step('ListUsers (address)', () => admin.listUsers({ email: ada.email }, asService));
  const { accounts: own } = await step('ListAccounts (admin)', () => admin.listAccounts({}, asService));
  await step('ListAccounts (admin, user)', () => admin.listAccounts({ userId }, asService));
  await step('GetAccount (admin)', () => admin.getAccount({ accountId: own[0]!.id }, asService));
  const { session: extra } = await auth.signIn(bob);
  await step('ListUserSessions', () => admin.listUserSessions({ userId: extra!.userId }, asService));
  const named = { userId: extra!.userId, sessionId: extra!.id };
  await step('RevokeUserSession', () => admin.revokeUserSession(named, asService));
  await step('UpdateUser', () => admin.updateUser({ userId, name: 'Ada' }, operator.as));
  await step('UpdateUser (role)', () => admin.updateUser({ userId, role: SystemRole.ENGINEER }, operator.as));
  await step('SendPasswordReset', () => admin.sendPasswordReset({ userId }, operator.as));
  await step('ImpersonateUser', () => admin.impersonateUser({ userId }, operator.as));
  await step('RevokeUserSessions', () =>
    admin.revokeUserSessions({ whose: { case: 'userId', value: userId } }, asService),
  );
  await step('GetSettings (admin)', () => admin.getSettings({}, asService));
  await step('UpdateSettings', () => admin.updateSettings({ settings: { signUp: true } }, asService));
  await step('ListOAuthClients', () => admin.listOAuthClients({}, asService));
  const { keys } = await step('ListSigningKeys', () => admin.listSigningKeys({}, asService));
  const { id: signingKeyId } = keys.find(({ state }) => state === SigningKeyState.STANDBY)!;
  await step('RevokeSigningKey', () => admin.revokeSigningKey({ signingKeyId }, asService));
  await service.database.query(`update signing_keys set state_changed_at = state_changed_at - interval '1 hour'`);
  await step('RotateSigningKey', () => admin.rotateSigningKey({}, asService));
  await step('ListAuditEvents', () => admin.listAuditEvents({}, asService));
  await step('ListAuditEvents (user)', () => admin.listAuditEvents({ userId, action: 'user.ban' }, asService));
  await step('BanUser', () => admin.banUser({ userId }, asService));
  await step('UnbanUser', () => admin.unbanUser({ userId }, asService));
  await step('DeleteUser', () => admin.deleteUser({ userId }, asService));
  await callAccountMethods(service, wire, step);
  await callInviteCodeMethods(service, wire, step);
  await callKeyMethods(service, wire, step);
  await callDeviceMethods(service, wire, step);
  await callGrantMethods(service, wire, step);
  await callFactorMethods(service, wire, step);
  await callPasskeyMethods(service, wire, step);
  await callOAuthMethods(service, wire, step);
  await callSiteMethods(service, wire, step);
  await callProjectMethods(service, wire, step);
  const everybody = { case: 'everybody', value: true } as const;
  await step('RevokeUserSessions (all)', () => admin.revokeUserSessions({ whose: everybody }, asService));
}

/** The methods of e-mail addresses, passwords and mailed links. */
async function callMailed(
  service: TestService,
  wire: Wire,
  step: <T>(name: string, call: () => Promise<T>) => Promise<T>,
): Promise<void> {
  const { auth, admin } = service.clients(wire);
  const eve = { email: 'eve@example.org', password: 'an eavesdropper', name: 'Eve' };
  const email = 'eve@example.com';
  await admin.createUser(eve, asService);
  const as = bearerOf(await auth.signIn(eve));
  await step('UpdateMe', () => auth.updateMe({ name: 'Evelyn', timezone: 'Europe/Vienna' }, as));
  await step('UpdateMe (email)', () => auth.updateMe({ email, currentPassword: eve.password }, as));
  const confirming = await tokenFor(service, email);
  await step('ConfirmEmailChange', () => auth.confirmEmailChange({ token: confirming }));
  await admin.createUser({ ...eve, email: eve.email }, asService);
  await step('SendVerificationEmail', () => auth.sendVerificationEmail({ email: eve.email }));
  const verifying = await tokenFor(service, eve.email);
  await step('VerifyEmail', () => auth.verifyEmail({ token: verifying }));
  const mallory = { ...eve, email: 'mallory@example.org' };
  await admin.createUser(mallory, asService);
  await auth.sendVerificationEmail({ email: mallory.email });
  const { token: rejecting } = await rejectionLinkFor(service, mallory.email);
  await step('RejectRegistration', () => auth.rejectRegistration({ token: rejecting }));
  const niaj = 'niaj@example.org';
  await admin.createUser({ email: niaj }, asService);
  await auth.requestMagicLink({ email: niaj });
  const proving = await tokenFor(service, niaj);
  await step('SignInWithMagicLink (first proof)', () => auth.signInWithMagicLink({ token: proving }));
  await step('RequestPasswordReset', () => auth.requestPasswordReset({ email }));
  await step('RequestPasswordReset (unknown)', () => auth.requestPasswordReset({ email: 'unknown@example.org' }));
  const resetting = await tokenFor(service, email);
  await step('VerifyResetToken', () => auth.verifyResetToken({ token: resetting }));
  await step('ResetPassword', () => auth.resetPassword({ token: resetting, newPassword: 'a second phrase' }));
  await step('RequestMagicLink', () => auth.requestMagicLink({ email }));
  const entering = await tokenFor(service, email);
  const entered = bearerOf(await step('SignInWithMagicLink', () => auth.signInWithMagicLink({ token: entering })));
  service.pass(61);
  const clientNonce = 'a-nonce-of-32-characters-_-_-_-_';
  await step('RequestMagicLink (code)', () => auth.requestMagicLink({ email, clientNonce }));
  const code = { email, clientNonce, code: /^\d{6}$/m.exec((await lastMail(service, email)).text)![0] };
  await step('SignInWithMagicLink (code)', () => auth.signInWithMagicLink({ code }));
  const passwords = { currentPassword: 'a second phrase', newPassword: 'the third phrase' };
  const changed = bearerOf(await step('ChangePassword', () => auth.changePassword(passwords, entered)));
  await step('DeleteMe', () => auth.deleteMe({}, changed));
  await step('GetEmailVerificationStatus', () => auth.getEmailVerificationStatus({}));
  await step('GetSettings', () => auth.getSettings({}));
}

function bearerOf({ tokens }: { tokens?: { accessToken: string } | undefined }) {
  return { headers: { authorization: `Bearer ${tokens!.accessToken}` } };
}

/** The texts of the statements of calls, without those that read a changed project after the commit. */
export function beforeReturn(statements: readonly SentStatement[]): string[] {
  const own = ofCalls(statements).filter(({ name }) => !/^projects?_(changed|shown)$/.test(name));
  return own.map(({ text }) => text);
}
