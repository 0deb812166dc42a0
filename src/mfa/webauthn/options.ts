import type { JsonObject } from '@bufbuild/protobuf';
import { openCeremonies } from './ceremonies.ts';
import { algorithms, type RelyingParty, type Use, userHandleOf } from './relying-party.ts';

/** Milliseconds that a browser lets the user take: as long as the challenge lives. */
const timeout = 300_000;

/** A credential that a browser is to use, or not to register again. */
export interface NamedCredential {
  readonly credentialId: Buffer;
  readonly transports: readonly string[];
}

/** The user for whom a credential is created, with what authenticators show. */
export interface CredentialOwner {
  readonly id: string;
  readonly email?: string | null;
  readonly name: string;
}

interface Creation {
  readonly use: Use;
  readonly owner: CredentialOwner;
  readonly challenge: Uint8Array;
  /** The registered ones of this use. */
  readonly exclude: readonly NamedCredential[];
}

/** The argument of `navigator.credentials.create`, as JSON. */
export function creationOptions(party: RelyingParty, { use, owner, challenge, exclude }: Creation): JsonObject {
  expectResponse();
  const { id, email, name } = owner;
  const account = email ?? id;
  return {
    rp: { id: party.id, name: party.name },
    user: { id: userHandleOf(id, use), name: account, displayName: name || account },
    challenge: Buffer.from(challenge).toString('base64url'),
    pubKeyCredParams: Object.values(algorithms).map((alg) => ({ type: 'public-key', alg })),
    timeout,
    excludeCredentials: exclude.map(describe),
    authenticatorSelection:
      use === 'passkey'
        ? { residentKey: 'required', requireResidentKey: true, userVerification: 'required' }
        : { residentKey: 'discouraged', requireResidentKey: false, userVerification: 'discouraged' },
    attestation: 'none',
  };
}

interface Request {
  readonly use: Use;
  readonly challenge: Uint8Array;
  /** Empty: any discoverable credential. */
  readonly allow: readonly NamedCredential[];
}

/** The argument of `navigator.credentials.get`, as JSON. The check of a passkey requires what its options require. */
export function requestOptions(party: RelyingParty, { use, challenge, allow }: Request): JsonObject {
  expectResponse();
  return {
    rpId: party.id,
    challenge: Buffer.from(challenge).toString('base64url'),
    timeout,
    allowCredentials: allow.map(describe),
    userVerification: use === 'passkey' ? 'required' : 'discouraged',
  };
}

/** Prepares what verifies the response. Whether it can be imported shows with the response. */
function expectResponse(): void {
  openCeremonies().catch(() => {});
}

function describe({ credentialId, transports }: NamedCredential): JsonObject {
  return { type: 'public-key', id: credentialId.toString('base64url'), transports: [...transports] };
}
