import { forGood } from '../../user/user.ts';
import { goCredential } from './go-webauthn.ts';
import { identityRecords } from './identity-record.ts';
import { emptyParts, type KratosParts, lookupCodes, totpOf } from './kratos-factors.ts';
import type { TableRow, Values } from './sql-dump.ts';
import type { Converted, Left, Related, TableSystem } from './system.ts';
import { compact, flagOf, objectOf, objectsOf, shownOf, textOf, timeOf } from './values.ts';

type JsonMap = Readonly<Record<string, unknown>>;

const table = (key: string, name: string, columns: string, owner?: string) => ({
  key,
  names: [{ name }],
  columns: columns.split(' '),
  ...(owner && { owner: [owner] }),
});

/** The tables of Ory Kratos. */
export const kratos: TableSystem = {
  tables: [
    table('users', 'identities', 'id traits state metadata_public metadata_admin created_at organization_id'),
    table(
      'credentials',
      'identity_credentials',
      'config identity_credential_type_id identity_id created_at',
      'identity_id',
    ),
    table('types', 'identity_credential_types', 'id name'),
    table('addresses', 'identity_verifiable_addresses', 'verified via value identity_id', 'identity_id'),
  ],
  convert,
};

function convert({ line, values }: TableRow, related: Related): Converted {
  const user = textOf(values.id) ?? '';
  const traits = objectOf(values.traits) ?? {};
  const addresses = related.of('addresses').filter((each) => textOf(each.values.via) === 'email');
  const email = textOf(traits.email) ?? textOf(addresses[0]?.values.value);
  if (!email) return { line, user, left: [{ kind: 'user without an address' }] };
  const parts = partsOf(user, related);
  const isVerified = addresses.some(
    (each) => flagOf(each.values.verified) && textOf(each.values.value)?.toLowerCase() === email.toLowerCase(),
  );
  const { email: _, name, ...others } = traits;
  const record = compact({
    id: user,
    email,
    name: nameOf(name),
    email_verified: isVerified,
    password_hash: parts.passwordHash,
    created_at: timeOf(values.created_at),
    banned_until: textOf(values.state) === 'inactive' ? forGood.toISOString() : undefined,
    // Users read metadata_public and cannot change it, as app_metadata here. They read nothing of metadata_admin.
    app_metadata: objectOf(values.metadata_public),
    user_metadata: others,
    identities: parts.identities,
    totp: parts.totp,
    security_keys: parts.securityKeys,
    passkeys: parts.passkeys,
    recovery_codes: parts.recoveryCodes,
  });
  return { line, user, record, left: [...leftFields(values), ...parts.left] };
}

function nameOf(name: unknown): string | undefined {
  const { first, last } = objectOf(name) ?? {};
  return shownOf(name, 200) ?? shownOf([first, last].filter((each) => typeof each === 'string').join(' '), 200);
}

function leftFields(values: Values): Left[] {
  const admin = values.metadata_admin;
  const isEmpty = admin === null || admin === undefined || admin === 'null' || admin === '{}';
  const hasAdmin = !isEmpty && Object.keys(objectOf(admin) ?? { some: 1 }).length > 0;
  return hasAdmin ? [{ kind: 'private metadata' }] : [];
}

function partsOf(user: string, related: Related): KratosParts {
  const names = new Map(related.all('types').map(({ values }) => [textOf(values.id), textOf(values.name)]));
  const parts = emptyParts();
  for (const { line, values } of related.of('credentials')) {
    const type = names.get(textOf(values.identity_credential_type_id)) ?? '';
    const config = objectOf(values.config) ?? {};
    const add = adders[type] ?? addUnknown;
    add(parts, config, { user, line, createdAt: values.created_at });
  }
  return parts;
}

interface Place {
  readonly user: string;
  readonly line: number;
  readonly createdAt: unknown;
}

type Adder = (parts: KratosParts, config: JsonMap, place: Place) => void;

const adders: Readonly<Record<string, Adder>> = {
  password(parts, config, { line }) {
    parts.passwordHash = textOf(config.hashed_password);
    if (flagOf(config.use_password_migration_hook))
      parts.left.push({ kind: 'password hash', line, why: 'a hook of Kratos checks the password' });
  },
  oidc(parts, config, place) {
    const all = objectsOf(config.providers);
    // An identity provider of an organization
    const own = all.filter(({ organization }) => !textOf(organization));
    const read = identityRecords(own.map((each) => identityOf(each, place)));
    parts.identities.push(...read.records);
    parts.left.push(...read.left);
    for (const _ of all.slice(own.length)) parts.left.push({ kind: 'single sign-on identity', line: place.line });
  },
  saml: (parts, _, { line }) => void parts.left.push({ kind: 'single sign-on identity', line }),
  totp(parts, config, { line, createdAt }) {
    const secret = totpOf(textOf(config.totp_url));
    if (typeof secret === 'string') parts.totp.push(compact({ secret, created_at: timeOf(createdAt) }));
    else parts.left.push({ kind: 'TOTP secret', line, why: secret.why });
  },
  lookup_secret: (parts, config) => void parts.recoveryCodes.push(...lookupCodes(config)),
  webauthn: addCredentials,
  passkey: addCredentials,
  // Codes by mail need nothing that is stored. A recovery of Kratos is over.
  code: (parts, config, { line }) => {
    const isPhone = objectsOf(config.addresses).some(({ channel }) => channel === 'sms');
    if (isPhone) parts.left.push({ kind: 'phone identity', line });
  },
  code_recovery: () => {},
  link_recovery: () => {},
};

function addUnknown(parts: KratosParts, _: JsonMap, { line }: Place): void {
  parts.left.push({ kind: 'security key', line, why: 'a credential of an unknown type' });
}

function identityOf({ provider, subject }: JsonMap, { line, createdAt }: Place) {
  return { provider: textOf(provider) ?? '', subject: textOf(subject), createdAt, line };
}

/** A credential is found by the handle in its authenticator, so the handle has to name the user. */
function addCredentials(parts: KratosParts, config: JsonMap, { user, line }: Place): void {
  const handle = Buffer.from(textOf(config.user_handle) ?? '', 'base64');
  const isOwn = handle.toString('hex') === user.replaceAll('-', '') || handle.toString() === user;
  for (const each of objectsOf(config.credentials)) {
    const isPasskey = flagOf(each.is_passwordless) !== false;
    const kind = isPasskey ? 'passkey' : 'security key';
    const credential = goCredential(each);
    if (!isOwn) parts.left.push({ kind, line, why: 'its user handle is not the id of the user' });
    else if (!credential) parts.left.push({ kind, line, why: 'its backup flags are not known' });
    else (isPasskey ? parts.passkeys : parts.securityKeys).push(credential);
  }
}
