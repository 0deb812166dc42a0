import { Secret } from 'otpauth';
import { z } from 'zod';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Factor, type FactorType } from '../mfa/factor.ts';
import { importedCodes, type RecoveryCode } from '../mfa/recovery-code.ts';
import { sealSecret } from '../mfa/totp.ts';
import { WebauthnCredential } from '../mfa/webauthn/credential.ts';
import { isOfferedKeyEncoded } from '../mfa/webauthn/public-key.ts';
import { readAddress } from '../text/email-address.ts';
import { unseen } from '../text/invisible-characters.ts';
import { emailKey } from '../user/email.ts';
import { Identity, identitiesPerUser } from '../user/identity.ts';
import type { User } from '../user/user.ts';

/** What the values of a line depend on. */
export interface ReadingContext {
  readonly projectId: string;
  readonly now: Date;
  /** They seal the secrets of factors. */
  readonly keys: MasterKeys;
}

export const text = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^\P{Cc}*$/u, 'holds control characters')
    .refine((value) => value.isWellFormed(), 'holds a lone surrogate')
    .refine((value) => !unseen.test(value), 'holds characters that nobody sees');

export const time = z.iso.datetime({ offset: true });

const base64url = (most: number) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/, 'not base64url')
    .transform((value) => Buffer.from(value, 'base64url'))
    .refine(({ length }) => length > 0 && length <= most, 'too long or empty');

const identity = z.strictObject({
  provider: z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'not the name of a provider'),
  subject: text(255).min(1),
  email: z.string().transform(readAddress).pipe(z.string('Invalid email address')).nullish(),
  email_verified: z.boolean().nullish(),
  name: text(200).nullish(),
  username: text(200).nullish(),
  picture_url: z
    .string()
    .max(2000)
    .regex(/^(https:\/\/[!-~]+)?$/, 'not an https URL')
    .nullish(),
  created_at: time.nullish(),
});

const fewestSecretBytes = 10;
const mostSecretBytes = 128;

const totp = z.strictObject({
  secret: z
    .string()
    .regex(/^[A-Za-z2-7]+=*$/, 'not base32')
    .transform((value) => Secret.fromBase32(value))
    .refine(
      ({ bytes }) => bytes.length >= fewestSecretBytes && bytes.length <= mostSecretBytes,
      `not ${fewestSecretBytes} to ${mostSecretBytes} bytes`,
    ),
  name: text(100).nullish(),
  created_at: time.nullish(),
});

const credential = z
  .strictObject({
    // WebAuthn Level 3, section 7.1, step 26.
    credential_id: base64url(1023),
    public_key: base64url(2048).refine(isOfferedKeyEncoded, 'not a COSE key of ES256, EdDSA or RS256'),
    sign_count: z.int().min(0).max(0xffff_ffff),
    backup_eligible: z.boolean(),
    backed_up: z.boolean(),
    transports: z
      .array(z.string().regex(/^[a-z-]{1,32}$/, 'not the name of a transport'))
      .max(10)
      .nullish(),
    aaguid: z.guid().nullish(),
    name: text(100).nullish(),
    created_at: time.nullish(),
  })
  .refine((read) => read.backup_eligible || !read.backed_up, 'backed up, but not eligible for it');

type Credential = z.output<typeof credential>;

/** How many items a list may have: as many as the methods that add the same allow. */
export const mostItems = {
  identities: identitiesPerUser,
  totp: 10,
  security_keys: 10,
  passkeys: 10,
  recovery_codes: 100,
};

const recoveryCode = z.string().regex(/^[A-Za-z0-9 -]{6,64}$/, 'not 6 to 64 letters and digits');

/** The fields of a line for what belongs to a user. */
export const belongingFields = {
  identities: z.array(identity).max(mostItems.identities).nullish(),
  totp: z.array(totp).max(mostItems.totp).nullish(),
  security_keys: z.array(credential).max(mostItems.security_keys).nullish(),
  passkeys: z.array(credential).max(mostItems.passkeys).nullish(),
  recovery_codes: z.array(recoveryCode).max(mostItems.recovery_codes).nullish(),
};

const belongings = z.object(belongingFields);

/** The rows that are inserted with a user. */
export interface Belongings {
  readonly identities: readonly Identity[];
  readonly factors: readonly Factor[];
  readonly credentials: readonly WebauthnCredential[];
  readonly codes: readonly RecoveryCode[];
}

const noAaguid = '00000000-0000-0000-0000-000000000000';

/** The rows of the line's identities and factors. All factors are verified: the other system has verified them. */
export function belongingsOf(
  user: User,
  read: z.output<typeof belongings>,
  { keys, now }: ReadingContext,
): Belongings & { readonly factorCount: number } {
  const factors: Factor[] = [];
  const credentials: WebauthnCredential[] = [];
  const { id: userId, projectId } = user;
  const enroll = (type: FactorType, about: { name?: string | null; created_at?: string | null }, secret?: Secret) => {
    const id = Factor.newId(now);
    const sealed = secret && { secretSealed: sealSecret(keys, { id, userId }, secret) };
    const draft = { id, projectId, userId, type, friendlyName: about.name ?? '', verifiedAt: now, ...sealed };
    factors.push(Factor.enroll(draft, timeOf(about.created_at, now)));
    return id;
  };
  const store = (type: FactorType) => (each: Credential) =>
    void credentials.push(credentialOf(user, enroll(type, each), each));
  for (const each of read.totp ?? []) enroll('totp', each, each.secret);
  read.security_keys?.forEach(store('webauthn'));
  const factorCount = factors.length;
  read.passkeys?.forEach(store('passkey'));
  const typed = read.recovery_codes ?? [];
  const codes = typed.length > 0 ? importedCodes(keys, ownerOf(enroll('recovery_code', {}), user), typed, now) : [];
  const identities = (read.identities ?? []).map((each) => identityOf(user, each, now));
  return { identities, factors, credentials, codes, factorCount };
}

function ownerOf(factorId: string, { id: userId, projectId }: User) {
  return { id: factorId, userId, projectId };
}

function credentialOf(user: User, factorId: string, read: Credential): WebauthnCredential {
  return Object.assign(new WebauthnCredential(), {
    factorId,
    projectId: user.projectId,
    userId: user.id,
    credentialId: read.credential_id,
    publicKey: read.public_key,
    signCount: read.sign_count,
    backupEligible: read.backup_eligible,
    backedUp: read.backed_up,
    transports: [...new Set(read.transports ?? [])],
    aaguid: read.aaguid?.toLowerCase() ?? noAaguid,
  });
}

function identityOf(user: User, read: z.output<typeof identity>, now: Date): Identity {
  const { provider, subject } = read;
  const email = read.email ?? null;
  return Object.assign(new Identity(), {
    id: uuidv7(now),
    projectId: user.projectId,
    userId: user.id,
    ...{ provider, subject, email },
    emailKey: email && emailKey(email),
    emailVerified: email !== null && (read.email_verified ?? false),
    name: read.name ?? '',
    username: read.username ?? '',
    pictureUrl: read.picture_url ?? '',
    createdAt: timeOf(read.created_at, now),
    lastSignInAt: null,
  });
}

/** A time in the future, or before there were such systems, says nothing. */
function timeOf(text: string | null | undefined, now: Date): Date {
  const at = text ? new Date(text) : now;
  return at.getTime() >= 0 && at <= now ? at : now;
}
