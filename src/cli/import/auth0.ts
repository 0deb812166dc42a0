import { createReadStream } from 'node:fs';
import { forGood } from '../../user/user.ts';
import { readLines } from '../lines.ts';
import { type ForeignIdentity, identityRecords } from './identity-record.ts';
import { plainBytes } from './input.ts';
import type { Converted, Left, Unreadable } from './system.ts';
import { compact, flagOf, isUuid, objectOf, objectsOf, shownOf, textOf, timeOf } from './values.ts';

type JsonMap = Readonly<Record<string, unknown>>;

const longestLine = 1_048_576;

/** What Auth0's support exports of a user: see docs/importing.md. */
interface Secrets {
  readonly passwordHash: string | undefined;
  readonly factors: readonly JsonMap[];
}

/** The users of an export of Auth0, one JSON object in each line. `secretsFile` has their hashes and factors. */
export async function* convertAuth0(
  bytes: AsyncIterable<Buffer>,
  secretsFile: string | undefined,
): AsyncGenerator<Converted | Unreadable> {
  const secrets = await readSecrets(secretsFile);
  for await (const { line, object, why } of objects(bytes)) {
    if (object) yield convert(line, object, secrets);
    else yield { line, why: why! };
  }
}

async function readSecrets(file: string | undefined): Promise<ReadonlyMap<string, Secrets>> {
  const secrets = new Map<string, Secrets>();
  if (file === undefined) return secrets;
  for await (const { line, object, why } of objects(createReadStream(file))) {
    if (!object) throw new Error(`line ${line} of ${file} is ${why}`);
    const id =
      textOf(object.user_id) ?? textOf(object.alt_id) ?? textOf(objectOf(object._id)?.$oid) ?? textOf(object._id);
    if (id === undefined) throw new Error(`line ${line} of ${file} has no _id and no user_id`);
    const key = id.includes('|') ? id : `auth0|${id}`;
    const known = secrets.get(key);
    const passwordHash = textOf(object.passwordHash) ?? textOf(object.password_hash) ?? known?.passwordHash;
    secrets.set(key, { passwordHash, factors: [...(known?.factors ?? []), ...objectsOf(object.mfa_factors)] });
  }
  return secrets;
}

async function* objects(bytes: AsyncIterable<Buffer>) {
  let line = 0;
  for await (const read of readLines(await plainBytes(bytes), longestLine)) {
    line++;
    if ('text' in read && read.text.trim() === '') continue;
    const object = 'text' in read ? objectOf(read.text) : undefined;
    yield { line, object, why: 'why' in read ? read.why : 'not a JSON object' };
  }
}

const directories = [
  'samlp',
  'waad',
  'adfs',
  'ad',
  'auth0-adldap',
  'okta',
  'oidc',
  'google-apps',
  'pingfederate',
  'sharepoint',
];
const bySms = ['sms'];
/** The password, and codes by mail, need no identity. */
const own = ['auth0', 'email'];

function convert(line: number, user: JsonMap, secrets: ReadonlyMap<string, Secrets>): Converted {
  const id = textOf(user.user_id) ?? '';
  const identities = objectsOf(user.identities);
  const providers = identities.length > 0 ? identities.map(providerOf) : [id.split('|')[0]!];
  if (providers.every((each) => directories.includes(each)))
    return { line, user: id, left: [{ kind: 'single sign-on user' }] };
  if (!textOf(user.email)) return { line, user: id, left: [{ kind: 'user without an address' }] };
  const { passwordHash, factors: exported } = secrets.get(id) ?? { passwordHash: undefined, factors: [] };
  const factors = [...objectsOf(user.mfa_factors), ...exported].map((each) => factorOf(each, line));
  const linked = identityRecords(identities.flatMap((each) => identityOf(each, user, line)));
  const localId = id.split('|').at(-1);
  const record = compact({
    id: isUuid(localId) ? localId : undefined,
    email: user.email,
    // Auth0 sets the address as the name of users who have not given one.
    name: user.name === user.email ? undefined : shownOf(user.name, 200),
    email_verified: flagOf(user.email_verified) ?? false,
    password_hash: passwordHash ?? textOf(user.password_hash),
    created_at: timeOf(user.created_at) ?? timeOf(objectOf(user.created_at)?.$date),
    banned_until: flagOf(user.blocked) ? forGood.toISOString() : undefined,
    phone: shownOf(user.phone_number, 32),
    app_metadata: { ...objectOf(user.app_metadata), auth0_user_id: id },
    user_metadata: objectOf(user.user_metadata),
    identities: linked.records,
    totp: factors.flatMap((each) => each.totp ?? []),
  });
  const left = [...linked.left, ...leftIdentities(identities, line), ...factors.flatMap((each) => each.left ?? [])];
  return { line, user: id, record, left: [...left, ...leftMultifactor(user, factors.length, line), ...leftName(user)] };
}

function providerOf({ provider }: JsonMap): string {
  return textOf(provider) ?? '';
}

/** The subject of a custom connection stands behind its name. */
function identityOf(identity: JsonMap, user: JsonMap, line: number): ForeignIdentity[] {
  const given = providerOf(identity);
  if ([...own, ...bySms, ...directories].includes(given)) return [];
  const connection = textOf(identity.connection) ?? given;
  const subject = textOf(identity.user_id);
  const isCustom = given === 'oauth2';
  const data = objectOf(identity.profileData) ?? (identity === objectsOf(user.identities)[0] ? user : {});
  const isPrimary = data === user;
  return [
    {
      provider: isCustom ? connection : given,
      subject: isCustom && subject?.startsWith(`${connection}|`) ? subject.slice(connection.length + 1) : subject,
      email: data.email,
      emailVerified: data.email_verified,
      name: data.name,
      username: data.nickname ?? data.username,
      picture: data.picture,
      ...(isPrimary && { createdAt: user.created_at }),
      line,
    },
  ];
}

function leftIdentities(identities: readonly JsonMap[], line: number): Left[] {
  const passwords = identities.filter((each) => providerOf(each) === 'auth0');
  return [
    ...identities
      .filter((each) => directories.includes(providerOf(each)))
      .map(() => left('single sign-on identity', line)),
    ...identities.filter((each) => bySms.includes(providerOf(each))).map(() => left('phone identity', line)),
    ...passwords.slice(1).map(() => left('second password', line)),
  ];
}

function left(kind: Left['kind'], line: number): Left {
  return { kind, line };
}

interface FactorParts {
  readonly totp?: Record<string, unknown>;
  readonly left?: Left;
}

function factorOf(factor: JsonMap, line: number): FactorParts {
  const secret = textOf(objectOf(factor.totp)?.secret);
  if (secret) return { totp: { secret } };
  if (factor.phone) return { left: left('SMS factor', line) };
  return { left: left(factor.email ? 'e-mail factor' : 'push factor', line) };
}

/** The export only says that a user has factors, not which. */
function leftMultifactor({ multifactor }: JsonMap, known: number, line: number): Left[] {
  const named = Array.isArray(multifactor) ? multifactor.length : 0;
  return named > 0 && known === 0 ? [{ kind: 'TOTP secret', line, why: 'the export does not have it' }] : [];
}

function leftName({ username }: JsonMap): Left[] {
  return textOf(username) ? [{ kind: 'user name' }] : [];
}
