import { goCredential, transportsOf } from './go-webauthn.ts';
import { type ForeignIdentity, identityRecords } from './identity-record.ts';
import type { LeftKind } from './left.ts';
import type { TableRow, Values } from './sql-dump.ts';
import type { Converted, Left, Related, TableSystem } from './system.ts';
import { byteaOf, compact, flagOf, objectOf, shownOf, textOf, timeOf } from './values.ts';

const table = (name: string, columns: string, owner?: string) => ({
  key: name,
  names: [{ schema: 'auth', name }],
  columns: columns.split(' '),
  ...(owner && { owner: [owner] }),
});

/** The tables of Supabase Auth, in its schema. Tables of the application have the same names elsewhere. */
export const supabase: TableSystem = {
  tables: [
    table(
      'users',
      'id role email encrypted_password email_confirmed_at raw_app_meta_data raw_user_meta_data created_at phone banned_until is_sso_user deleted_at is_anonymous is_super_admin',
    ),
    table('identities', 'id provider_id user_id identity_data provider created_at', 'user_id'),
    table('mfa_factors', 'user_id friendly_name factor_type status created_at secret web_authn_credential', 'user_id'),
    table(
      'webauthn_credentials',
      'user_id credential_id public_key aaguid sign_count transports backup_eligible backed_up friendly_name created_at',
      'user_id',
    ),
    table('mfa_recovery_code_sets', 'user_id', 'user_id'),
  ],
  convert,
};

function convert({ line, values }: TableRow, related: Related): Converted {
  const user = textOf(values.id) ?? '';
  const kind = leftOut(values);
  if (kind) return { line, user, left: [{ kind }] };
  const identities = identityRecords(related.of('identities').flatMap(identityOf));
  const factors = related.of('mfa_factors').map(factorOf);
  const factorRecords = (field: 'totp' | 'security_keys') => factors.flatMap((each) => each[field] ?? []);
  const metadata = objectOf(values.raw_user_meta_data);
  const record = compact({
    id: user,
    email: values.email,
    name: shownOf(metadata?.full_name, 200) ?? shownOf(metadata?.name, 200),
    email_verified: textOf(values.email_confirmed_at) !== undefined,
    password_hash: isEncrypted(values.encrypted_password) ? undefined : textOf(values.encrypted_password),
    created_at: timeOf(values.created_at),
    banned_until: timeOf(values.banned_until),
    phone: shownOf(values.phone, 32),
    app_metadata: objectOf(values.raw_app_meta_data),
    user_metadata: metadata,
    identities: identities.records,
    totp: factorRecords('totp'),
    security_keys: factorRecords('security_keys'),
    passkeys: related.of('webauthn_credentials').map(passkeyOf),
  });
  const others = related.of('identities').flatMap(leftIdentity);
  const left = [...leftFields(values), ...others, ...identities.left, ...factors.flatMap((each) => each.left ?? [])];
  return { line, user, record, left: [...left, ...related.of('mfa_recovery_code_sets').map(leftCodes)] };
}

function leftOut(values: Values): LeftKind | undefined {
  if (textOf(values.deleted_at)) return 'deleted user';
  if (flagOf(values.is_anonymous)) return 'anonymous user';
  if (flagOf(values.is_sso_user)) return 'single sign-on user';
  return textOf(values.email) ? undefined : 'user without an address';
}

function leftFields(values: Values): Left[] {
  const { encrypted_password: password, is_super_admin: isSuperAdmin } = values;
  const role = textOf(values.role) ?? 'authenticated';
  return [
    ...(isEncrypted(password) ? [{ kind: 'password hash', why: 'it is encrypted' } as const] : []),
    ...(role !== 'authenticated' ? [{ kind: 'role' } as const] : []),
    ...(flagOf(isSuperAdmin) ? [{ kind: 'role of administrator' } as const] : []),
    ...unreadableJson(values, 'raw_app_meta_data'),
    ...unreadableJson(values, 'raw_user_meta_data'),
  ];
}

function unreadableJson(values: Values, column: string): Left[] {
  const value = values[column];
  const isRead = value === null || value === undefined || objectOf(value) !== undefined;
  return isRead ? [] : [{ kind: 'field', why: `${column}: not a JSON object` }];
}

/** With the encryption of Supabase Auth a value is JSON that names its key. */
function isEncrypted(value: unknown): boolean {
  return objectOf(value)?.key_id !== undefined;
}

// The address itself is an identity of the provider `email`.
function identityOf({ line, values }: TableRow): ForeignIdentity[] {
  const provider = textOf(values.provider) ?? '';
  if (provider === 'email' || leftIdentityKind(provider)) return [];
  const data = objectOf(values.identity_data) ?? {};
  return [
    {
      provider,
      // Until 2023 the column `id` was the subject.
      subject: textOf(values.provider_id) ?? textOf(data.sub) ?? textOf(values.id),
      email: data.email,
      emailVerified: data.email_verified,
      name: data.full_name ?? data.name,
      username: data.user_name ?? data.preferred_username,
      picture: data.avatar_url ?? data.picture,
      createdAt: values.created_at,
      line,
    },
  ];
}

function leftIdentity({ line, values }: TableRow): Left[] {
  const kind = leftIdentityKind(textOf(values.provider) ?? '');
  return kind ? [{ kind, line }] : [];
}

function leftIdentityKind(provider: string): LeftKind | undefined {
  if (provider === 'phone') return 'phone identity';
  if (provider === 'web3') return 'wallet identity';
  return provider.startsWith('sso:') ? 'single sign-on identity' : undefined;
}

interface FactorRecord {
  readonly totp?: Record<string, unknown>;
  readonly security_keys?: Record<string, unknown>;
  readonly left?: Left;
}

function factorOf({ line, values }: TableRow): FactorRecord {
  const type = textOf(values.factor_type);
  const about = compact({ name: shownOf(values.friendly_name, 100), created_at: timeOf(values.created_at) });
  if (type === 'recovery_code') return { left: { kind: 'recovery code set', line } };
  if (textOf(values.status) !== 'verified') return { left: { kind: 'unverified factor', line } };
  if (type === 'phone') return { left: { kind: 'SMS factor', line } };
  if (type === 'webauthn') {
    const credential = goCredential(objectOf(values.web_authn_credential) ?? {});
    if (!credential) return { left: { kind: 'security key', line, why: 'its backup flags are not known' } };
    return { security_keys: { ...credential, ...about } };
  }
  if (type !== 'totp') return { left: { kind: 'security key', line, why: 'a factor of an unknown type' } };
  if (isEncrypted(values.secret)) return { left: { kind: 'encrypted TOTP secret', line } };
  return { totp: { secret: textOf(values.secret) ?? '', ...about } };
}

function passkeyOf({ values }: TableRow): Record<string, unknown> {
  return compact({
    credential_id: byteaOf(values.credential_id),
    public_key: byteaOf(values.public_key),
    sign_count: Number(values.sign_count ?? 0),
    backup_eligible: flagOf(values.backup_eligible) ?? false,
    backed_up: flagOf(values.backed_up) ?? false,
    transports: transportsOf(values.transports),
    aaguid: textOf(values.aaguid),
    name: shownOf(values.friendly_name, 100),
    created_at: timeOf(values.created_at),
  });
}

function leftCodes({ line }: TableRow): Left {
  return { kind: 'recovery code set', line };
}
