import type { JsonObject } from '@bufbuild/protobuf';
import { z } from 'zod';
import { nobody } from '../auth/user-mail.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { readAddress } from '../text/email-address.ts';
import { trimMarks } from '../text/invisible-characters.ts';
import { byEmail } from '../text/sign-in-providers.ts';
import { markImported, readImported } from '../user/imported-hash.ts';
import { mergeMetadata, noMetadata } from '../user/metadata.ts';
import { forGood, User } from '../user/user.ts';
import { belongingFields, belongingsOf, mostItems, type ReadingContext, text, time } from './import-belongings.ts';
import type { ImportedUser } from './import-duplicates.ts';

// Not copied: a copy would lack the keys that mergeMetadata refuses.
const metadata = z.custom<JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'not an object',
);

// Null means that the field is absent: exports write it for what they do not know.
const line = z.strictObject({
  // Other systems make ids whose version and variant no RFC defines.
  id: z
    .guid()
    .refine((id) => id !== nobody, 'the nil UUID')
    .nullish(),
  email: z.string().transform(readAddress).pipe(z.string('Invalid email address')),
  name: z.string().transform(trimMarks).pipe(text(200)).nullish(),
  email_verified: z.boolean().nullish(),
  password_hash: z.string().max(1024).nullish(),
  created_at: time.nullish(),
  banned_until: time.nullish(),
  phone: text(32).nullish(),
  locale: text(35).nullish(),
  timezone: text(64).nullish(),
  app_metadata: metadata.nullish(),
  user_metadata: metadata.nullish(),
  ...belongingFields,
});

type Line = z.output<typeof line>;

/** A part of a line that cannot be imported. */
interface PartFault {
  readonly path: readonly PropertyKey[];
  /** In words without values. */
  readonly why: string;
}

class LineFault extends Error {
  readonly faults: readonly PartFault[];

  constructor(faults: readonly PartFault[]) {
    super('invalid line');
    this.faults = faults;
  }
}

/** Reads a line of an import: JSON of one user. Returns why a line is invalid, in words without values. */
export function readImportLine(json: string, reading: ReadingContext): ImportedUser | { readonly why: string } {
  try {
    return read(JSON.parse(json), reading);
  } catch (error) {
    if (error instanceof SyntaxError) return { why: 'not JSON' };
    if (error instanceof LineFault) return { why: error.faults.map(({ why }) => why).join('; ') };
    throw error;
  }
}

/**
 * Reads what a converter has made of a user of another system. Parts that are invalid are removed from the record; only
 * without a valid id or address the user is refused.
 */
export function readImportRecord(
  record: Record<string, unknown>,
  reading: ReadingContext,
): { readonly imported: ImportedUser; readonly removed: readonly string[] } | { readonly why: string } {
  const removed = cutLists(record);
  for (;;) {
    try {
      return { imported: read(record, reading), removed };
    } catch (error) {
      if (!(error instanceof LineFault)) throw error;
      const essential = error.faults.filter(({ path }) => path[0] === undefined || isEssential(path[0]));
      if (essential.length > 0) return { why: essential.map(({ why }) => why).join('; ') };
      for (const each of withoutRepetition(error.faults)) removed.push(remove(record, each));
    }
  }
}

/** Cuts lists that are too long. Returns the reason for each item that is removed. */
function cutLists(record: Record<string, unknown>): string[] {
  return Object.entries(mostItems).flatMap(([field, most]) => {
    const list = record[field];
    return Array.isArray(list) ? list.splice(most).map(() => `${field}: more than ${most}`) : [];
  });
}

function isEssential(field: PropertyKey): boolean {
  return field === 'id' || field === 'email' || !Object.hasOwn(line.shape, field);
}

/** One fault for each part, the last item of a list first, so that the indexes of the others stay. */
function withoutRepetition(faults: readonly PartFault[]): PartFault[] {
  const byPart = new Map(faults.map((each) => [each.path.slice(0, 2).join('.'), each] as const).reverse());
  return [...byPart.values()].sort((a, b) => Number(b.path[1] ?? 0) - Number(a.path[1] ?? 0));
}

function remove(record: Record<string, unknown>, { path: [field, index], why }: PartFault): string {
  const value = record[field as string];
  if (Array.isArray(value) && typeof index === 'number') value.splice(index, 1);
  else delete record[field as string];
  return why;
}

function read(value: unknown, reading: ReadingContext): ImportedUser {
  const parsed = line.safeParse(value);
  if (!parsed.success) throw new LineFault(parsed.error.issues.map(describeIssue));
  return toUser(parsed.data, reading);
}

function toUser(read: Line, reading: ReadingContext): ImportedUser {
  const { projectId, now } = reading;
  const { email, name, email_verified: emailVerified } = read;
  const hash = read.password_hash || null;
  requireKnownHash(hash);
  requireFactorBesideCodes(read);
  const registration = {
    projectId,
    email,
    name: name ?? '',
    emailVerified: emailVerified ?? false,
    passwordHash: hash && markImported(hash),
  };
  const user = Object.assign(User.register(registration, now), {
    ...(read.id && { id: read.id.toLowerCase() }),
    currentAccountId: uuidv7(now),
    createdAt: createdAtOf(read, now),
    bannedUntil: bannedUntilOf(read),
    phone: read.phone ?? '',
    locale: read.locale ?? '',
    timezone: read.timezone ?? '',
    ...metadataOf(read),
  });
  const { factorCount, ...belongings } = belongingsOf(user, read, reading);
  user.factorCount = factorCount;
  user.providers = providersOf(user, belongings.identities);
  return { user, hasOwnId: read.id != null, ...belongings };
}

/** What a user signs in with: their address where they have a password or nothing else, and the providers. */
export function providersOf(
  { passwordHash }: Pick<User, 'passwordHash'>,
  identities: readonly { readonly provider: string }[],
): string[] {
  const names = new Set(identities.map(({ provider }) => provider));
  return [...(passwordHash || names.size === 0 ? [byEmail] : []), ...names];
}

const dayMs = 86_400_000;

function createdAtOf({ created_at: text }: Line, now: Date): Date {
  const createdAt = text ? new Date(text) : now;
  // Months of usage are counted from this time, and a protobuf Timestamp ends with the year 9999.
  if (createdAt.getTime() >= 0 && createdAt.getTime() <= now.getTime() + dayMs) return createdAt;
  throw new LineFault([{ path: ['created_at'], why: 'created_at: not between 1970 and now' }]);
}

function bannedUntilOf({ banned_until: text }: Line): Date | null {
  const until = text ? new Date(text) : null;
  return until && until > forGood ? forGood : until;
}

function requireKnownHash(hash: string | null): void {
  const taken = hash ? readImported(hash) : undefined;
  if (taken && 'why' in taken) throw new LineFault([{ path: ['password_hash'], why: `password_hash: ${taken.why}` }]);
}

function requireFactorBesideCodes({ recovery_codes: codes, totp, security_keys: keys }: Line): void {
  if (!codes?.length || totp?.length || keys?.length) return;
  throw new LineFault([{ path: ['recovery_codes'], why: 'recovery_codes: without another factor' }]);
}

function metadataOf({ app_metadata: app, user_metadata: own }: Line) {
  try {
    return mergeMetadata(noMetadata, { appMetadata: app ?? undefined, userMetadata: own ?? undefined });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const faults = error.options.fields!.map(({ field, description }) => ({
      path: [field],
      why: `${field} ${description}`,
    }));
    throw new LineFault(faults);
  }
}

// Zod's own sentences contain no value, but the names of unknown keys.
function describeIssue({ path, message }: { path: PropertyKey[]; message: string }): PartFault {
  return { path, why: path.length > 0 ? `${path.join('.')}: ${message}` : message };
}
