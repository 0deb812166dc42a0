interface Described {
  readonly many: string;
  /** What an administrator or the user can do. */
  readonly advice: string;
}

const reenroll = 'the user signs in without it and can enrol a new one';
const linksItself = 'a sign-in with this provider links it again if the provider has verified the address of the user';

/** What can be left out of an import, each with what can be done about it. */
export const leftKinds = {
  'anonymous user': {
    many: 'anonymous users',
    advice: 'nobody can sign in as them; the application opens a new guest',
  },
  'deleted user': { many: 'deleted users', advice: 'nothing has to be done' },
  'single sign-on user': {
    many: 'single sign-on users',
    advice: 'configure their identity provider in OAUTH_PROVIDERS; they register with their first sign-in',
  },
  'user without an address': {
    many: 'users without an address',
    advice: 'give the user an address in the old system, and import again',
  },
  'SMS factor': { many: 'SMS factors', advice: `codes by SMS are not supported; ${reenroll}` },
  'e-mail factor': { many: 'e-mail factors', advice: `codes by mail are no second factor here; ${reenroll}` },
  'push factor': { many: 'push factors', advice: reenroll },
  'TOTP secret': { many: 'TOTP secrets', advice: reenroll },
  'encrypted TOTP secret': {
    many: 'encrypted TOTP secrets',
    advice: `the key of the old system is needed to read it (--secrets, for Better Auth); without it ${reenroll}`,
  },
  'unverified factor': {
    many: 'unverified factors',
    advice: 'its enrolment was never finished; nothing has to be done',
  },
  'recovery code set': {
    many: 'recovery code sets',
    advice: 'the user creates a new set after the next sign-in with a second factor',
  },
  passkey: { many: 'passkeys', advice: 'the user signs in in another way and registers the passkey again' },
  'security key': { many: 'security keys', advice: reenroll },
  'password hash': {
    many: 'password hashes',
    advice:
      'the user signs in with a magic link or code; AdminService/SendPasswordReset sends a link to choose a password',
  },
  'second password': { many: 'second passwords', advice: 'the user keeps the password of the first account' },
  'phone identity': {
    many: 'phone identities',
    advice: 'sign-in by SMS is not supported; the user signs in by mail, or with a password',
  },
  'wallet identity': { many: 'wallet identities', advice: 'sign-in with wallets is not supported' },
  'single sign-on identity': {
    many: 'single sign-on identities',
    advice: 'configure the identity provider in OAUTH_PROVIDERS; the first sign-in links it',
  },
  'Microsoft identity': {
    many: 'Microsoft identities',
    advice: `Gatehouse names users of Microsoft by tenant and object id, which the old system does not store; ${linksItself}`,
  },
  identity: { many: 'identities', advice: linksItself },
  'identity of another user': {
    many: 'identities of other users',
    advice: 'another user signs in with it already; unlink it there if that is wrong',
  },
  'credential of another user': {
    many: 'credentials of other users',
    advice: `a passkey or security key of this user is registered twice; ${reenroll}`,
  },
  'row without its user': {
    many: 'rows without their users',
    advice: 'export the tables together, so that both are of the same moment',
  },
  'user name': { many: 'user names', advice: 'the user signs in with the address' },
  'role of administrator': {
    many: 'roles of administrators',
    advice: 'make the user an operator with the command admin grant',
  },
  role: {
    many: 'roles',
    advice: 'users have the role authenticated here: keep other roles in app_metadata, with AdminService/UpdateUser',
  },
  'private metadata': {
    many: 'private metadata',
    advice: 'users can read all metadata here, so the application has to keep it elsewhere',
  },
  field: { many: 'fields', advice: 'set it with AdminService/UpdateUser if it is needed' },
} as const satisfies Readonly<Record<string, Described>>;

export type LeftKind = keyof typeof leftKinds;
