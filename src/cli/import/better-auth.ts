import { Secret } from 'otpauth';
import { forGood } from '../../user/user.ts';
import { decryptBetterAuth } from './better-auth-secret.ts';
import { type ForeignIdentity, identityRecords } from './identity-record.ts';
import type { LeftKind } from './left.ts';
import type { TableRow, Values } from './sql-dump.ts';
import type { Converted, ConvertOptions, Left, Related, TableSystem } from './system.ts';
import { compact, flagOf, isUuid, objectOf, shownOf, textOf, timeOf } from './values.ts';

const owner = ['userId', 'user_id'];

const table = (key: string, names: string, columns: string, isOwned = true) => ({
  key,
  names: names.split(' ').map((name) => ({ name })),
  columns: columns.split(' '),
  ...(isOwned && { owner }),
});

/** The tables of Better Auth, with the columns of its own migrations and Prisma, and with those of Drizzle. */
export const betterAuth: TableSystem = {
  tables: [
    table(
      'users',
      'user',
      'id name image email emailVerified email_verified createdAt created_at banned banExpires ban_expires isAnonymous is_anonymous phoneNumber phone_number twoFactorEnabled two_factor_enabled role username',
      false,
    ),
    table(
      'accounts',
      'account',
      'userId user_id providerId provider_id accountId account_id password createdAt created_at',
    ),
    table('two_factors', 'twoFactor two_factor', 'userId user_id secret backupCodes backup_codes verified'),
    table('passkeys', 'passkey', 'userId user_id'),
  ],
  convert,
};

/** A value by the column's name of Better Auth, or by that of Drizzle. */
function of(values: Values, name: string): unknown {
  return values[name] ?? values[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)];
}

function convert({ line, values }: TableRow, related: Related, options: ConvertOptions): Converted {
  const user = textOf(values.id) ?? '';
  if (flagOf(of(values, 'isAnonymous'))) return { line, user, left: [{ kind: 'anonymous user' }] };
  if (!textOf(values.email)) return { line, user, left: [{ kind: 'user without an address' }] };
  const accounts = related.of('accounts');
  const passwords = accounts.filter((each) => of(each.values, 'providerId') === 'credential');
  const identities = identityRecords(accounts.flatMap(identityOf));
  const isEnabled = flagOf(of(values, 'twoFactorEnabled'));
  const factors = related.of('two_factors').map((each) => factorOf(each, isEnabled, options));
  const record = compact({
    id: isUuid(user) ? user : undefined,
    email: values.email,
    name: shownOf(values.name, 200),
    email_verified: flagOf(of(values, 'emailVerified')) ?? false,
    password_hash: textOf(passwords[0]?.values.password),
    created_at: timeOf(of(values, 'createdAt')),
    banned_until: bannedUntil(values),
    phone: shownOf(of(values, 'phoneNumber'), 32),
    app_metadata: { better_auth_id: user },
    user_metadata: compact({ image: textOf(values.image) }),
    identities: identities.records,
    totp: factors.flatMap((each) => each.totp ?? []),
    recovery_codes: factors.flatMap((each) => each.codes ?? []),
  });
  const left = [...leftFields(values), ...accounts.flatMap(leftAccount), ...identities.left];
  return { line, user, record, left: [...left, ...factors.flatMap((each) => each.left), ...leftPasskeys(related)] };
}

function bannedUntil(values: Values): string | undefined {
  if (!flagOf(values.banned)) return undefined;
  return timeOf(of(values, 'banExpires')) ?? forGood.toISOString();
}

function leftFields({ role, username }: Values): Left[] {
  return [
    ...(/\badmin\b/.test(textOf(role) ?? '') ? [{ kind: 'role of administrator' } as const] : []),
    ...(textOf(username) ? [{ kind: 'user name' } as const] : []),
  ];
}

function identityOf({ line, values }: TableRow): ForeignIdentity[] {
  const provider = textOf(of(values, 'providerId')) ?? '';
  if (provider === 'credential' || leftAccountKind(provider)) return [];
  const subject = textOf(of(values, 'accountId'));
  return [{ provider, subject, createdAt: of(values, 'createdAt'), line }];
}

function leftAccount({ line, values }: TableRow): Left[] {
  const kind = leftAccountKind(textOf(of(values, 'providerId')) ?? '');
  return kind ? [{ kind, line }] : [];
}

function leftAccountKind(provider: string): LeftKind | undefined {
  return provider === 'siwe' ? 'wallet identity' : undefined;
}

// The user handle in their authenticators is random, and Better Auth does not store it.
function leftPasskeys(related: Related): Left[] {
  return related
    .of('passkeys')
    .map(({ line }) => ({ kind: 'passkey', line, why: 'the user handle in the authenticator is not known' }));
}

interface FactorParts {
  readonly totp?: Record<string, unknown>;
  readonly codes?: readonly string[];
  readonly left: readonly Left[];
}

function factorOf({ line, values }: TableRow, isEnabled: boolean | undefined, options: ConvertOptions): FactorParts {
  if (isEnabled === false || flagOf(values.verified) === false) return { left: [{ kind: 'unverified factor', line }] };
  const read = (name: string) => {
    const value = textOf(of(values, name));
    return value && options.secret ? decryptBetterAuth(options.secret, value) : undefined;
  };
  const secret = read('secret');
  if (!secret) return { left: leftSecrets(options, line) };
  const codes = codesOf(read('backupCodes'));
  // The key of the codes is the text of the secret.
  const base32 = new Secret({ buffer: new Uint8Array(Buffer.from(secret)).buffer }).base32;
  return {
    totp: { secret: base32 },
    ...(codes && { codes }),
    left: codes ? [] : [{ kind: 'recovery code set', line }],
  };
}

function leftSecrets({ secret }: ConvertOptions, line: number): Left[] {
  const why = secret === undefined ? undefined : 'encrypted with another secret';
  const about = { line, ...(why && { why }) };
  return [
    { kind: 'encrypted TOTP secret', ...about },
    { kind: 'recovery code set', ...about },
  ];
}

function codesOf(json: string | undefined): string[] | undefined {
  const list = json && Object.values(objectOf(`{"codes":${json}}`) ?? {})[0];
  return Array.isArray(list) ? list.filter((each) => typeof each === 'string') : undefined;
}
