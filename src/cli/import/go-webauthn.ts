import { base64urlOf, compact, flagOf, objectOf, shownOf, timeOf, uuidOfBytes } from './values.ts';

type JsonMap = Readonly<Record<string, unknown>>;

/**
 * A credential as the library go-webauthn writes it as JSON, which Supabase Auth and Ory Kratos use: a field of the same
 * kind for each name that it has had. Undefined when the backup flags are unknown: each signature is compared with them.
 */
export function goCredential(credential: JsonMap): Record<string, unknown> | undefined {
  const authenticator = objectOf(pick(credential, 'authenticator')) ?? {};
  const flags = objectOf(pick(credential, 'flags')) ?? objectOf(pick(authenticator, 'flags')) ?? {};
  const backupEligible = flagOf(pick(flags, 'backupEligible'));
  if (backupEligible === undefined) return undefined;
  return compact({
    credential_id: base64urlOf(pick(credential, 'id')),
    public_key: base64urlOf(pick(credential, 'publicKey')),
    sign_count: pick(authenticator, 'signCount') ?? 0,
    backup_eligible: backupEligible,
    backed_up: flagOf(pick(flags, 'backupState')) ?? false,
    transports: transportsOf(pick(credential, 'transport') ?? pick(credential, 'transports')),
    aaguid: uuidOfBytes(base64urlOf(pick(authenticator, 'aaguid'))),
    name: shownOf(pick(credential, 'displayName'), 100),
    created_at: timeOf(pick(credential, 'addedAt')),
  });
}

/** Names of transports in a list, as such or as text. Other texts are left out. */
export function transportsOf(value: unknown): string[] | undefined {
  const list = Array.isArray(value) ? value : typeof value === 'string' ? value.split(/[\s,"[\]]+/) : [];
  const names = list.filter((each): each is string => typeof each === 'string' && /^[a-z-]{1,32}$/.test(each));
  return names.length > 0 ? [...new Set(names)].slice(0, 10) : undefined;
}

/** A field in any of the spellings publicKey, PublicKey and public_key. */
function pick(map: JsonMap, name: string): unknown {
  const plain = (key: string) => key.replaceAll('_', '').toLowerCase();
  const key = Object.keys(map).find((each) => plain(each) === plain(name));
  return key === undefined ? undefined : map[key];
}
