import { createCipheriv, pbkdf2, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import argon2 from 'argon2';

/** Whether the hash was made of this password. */
type Check = (password: Buffer) => Promise<boolean>;

/** A hash of another system: how to check a password against it, or why that is not possible. */
type Read = { readonly check: Check } | { readonly why: string };

const prefix = 'imported:';

/** A hash of another system as it is stored: unchanged behind a prefix, until the first sign-in replaces it. */
export function markImported(hash: string): string {
  return prefix + hash;
}

/** Reads a stored hash that has the prefix. Undefined for a hash of our own. */
export function readMarked(stored: string): Read | undefined {
  return stored.startsWith(prefix) ? readImported(stored.slice(prefix.length)) : undefined;
}

/**
 * Reads a hash of another system. Unknown forms and damaged hashes are refused. So are hashes that take more than about a
 * second or 256 MiB to check: sign-ins with them could make the service unavailable to others.
 */
export function readImported(hash: string): Read {
  for (const [form, read] of forms) {
    const parts = form.exec(hash);
    if (parts) return read(parts.groups ?? {}, hash);
  }
  return { why: 'the form is not known' };
}

/** Checks the bytes as typed, which other systems hash, and then the NFKC form if it differs. */
export async function matchesImported(check: Check, password: string): Promise<boolean> {
  const normal = password.normalize('NFKC');
  if (await check(Buffer.from(password))) return true;
  return normal !== password && check(Buffer.from(normal));
}

type Reader = (parts: Record<string, string | undefined>, hash: string) => Read;

const tooCostly: Read = { why: 'the cost is too high' };
const damaged: Read = { why: 'it is damaged' };
const b64 = '[A-Za-z0-9+/.]+={0,2}';

// Each form names the algorithm and its parameters first, then the salt and the hash.
const forms: readonly [RegExp, Reader][] = [
  // A hash without a version is one of version 16.
  [/^\$argon2id?\$(?:v=(?:16|19)\$)?(?<list>[mtp=\d,]+)\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$/, readArgon2],
  [/^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/, readBcrypt],
  [new RegExp(`^\\$scrypt\\$ln=(?<ln>\\d+),r=(?<r>\\d+),p=(?<p>\\d+)\\$(?<salt>${b64})\\$(?<tag>${b64})$`), readScrypt],
  [/^(?<text>[0-9a-f]{32}):(?<digits>[0-9a-f]{128})$/, readBetterAuth],
  [
    new RegExp(
      `^\\$firescrypt\\$ln=(?<n>\\d+),r=(?<r>\\d+),p=1\\$(?<salt>${b64})\\$(?<tag>${b64})\\$(?<separator>${b64})\\$(?<key>${b64})$`,
    ),
    readFirebase,
  ],
  [
    new RegExp(
      `^\\$fbscrypt\\$v=1,n=(?<n>\\d+),r=(?<r>\\d+),p=1,ss=(?<separator>${b64}),sk=(?<key>${b64})\\$(?<salt>${b64})\\$(?<tag>${b64})$`,
    ),
    readFirebase,
  ],
  [
    new RegExp(
      `^\\$pbkdf2-(?<sha>sha256|sha512)\\$(?:i=)?(?<rounds>\\d+)(?:,l=\\d+)?\\$(?<salt>${b64})\\$(?<tag>${b64})$`,
    ),
    readPbkdf2,
  ],
  [new RegExp(`^pbkdf2_(?<sha>sha256|sha512)\\$(?<rounds>\\d+)\\$(?<text>[!-#%-~]+)\\$(?<tag>${b64})$`), readPbkdf2],
];

function readArgon2({ list = '' }: Record<string, string | undefined>, hash: string): Read {
  const parameters = new Map(list.split(',').map((each) => each.split('=') as [string, string]));
  const [m, t, p] = ['m', 't', 'p'].map((name) => Number(parameters.get(name)));
  if (!(m! >= 8 && t! >= 1 && p! >= 1) || parameters.size !== 3 || m! < 8 * p!) return damaged;
  if (m! > 262_144 || t! > 20 || p! > 16 || m! * t! > 1_048_576) return tooCostly;
  return { check: (password) => argon2.verify(hash, password) };
}

function readBcrypt({ cost }: Record<string, string | undefined>, hash: string): Read {
  if (Number(cost) < 4 || Number(cost) > 31) return damaged;
  if (Number(cost) > 14) return tooCostly;
  return {
    check: async (password) => {
      const { verify } = await import('@node-rs/bcrypt');
      return verify(password, hash);
    },
  };
}

function readScrypt({ ln, r: r$, p: p$, salt, tag }: Record<string, string | undefined>): Read {
  // Ory Kratos writes N itself as `ln`, and others its logarithm.
  const [N, r, p] = [Number(ln) > 63 ? Number(ln) : 2 ** Number(ln), Number(r$), Number(p$)];
  if (N < 2 || !Number.isInteger(Math.log2(N)) || r < 1 || p < 1) return damaged;
  if (isTooLarge(N, r, p)) return tooCostly;
  return compare(tag, (password, length) => deriveScrypt(password, bytesOf(salt), length, { N, r, p }));
}

/** Better Auth's form: hexadecimal digits, of which those of the salt are hashed as text. Its costs are constants. */
function readBetterAuth({ text = '', digits = '' }: Record<string, string | undefined>): Read {
  const cost = { N: 16_384, r: 16, p: 1 };
  const tag = Buffer.from(digits, 'hex').toString('base64');
  return compare(tag, (password, length) => deriveScrypt(password, Buffer.from(text), length, cost));
}

/** Firebase's form: the project's key, encrypted with AES-256-CTR under a key that scrypt derives from the password. */
function readFirebase({ n, r: r$, separator, key, salt, tag }: Record<string, string | undefined>): Read {
  const [N, r] = [2 ** Number(n), Number(r$)];
  if (N < 2 || r < 1) return damaged;
  if (isTooLarge(N, r, 1)) return tooCostly;
  return compare(tag, async (password) => {
    const derived = await deriveScrypt(password, Buffer.concat([bytesOf(salt), bytesOf(separator)]), 64, {
      N,
      r,
      p: 1,
    });
    const cipher = createCipheriv('aes-256-ctr', derived.subarray(0, 32), Buffer.alloc(16));
    return Buffer.concat([cipher.update(bytesOf(key)), cipher.final()]);
  });
}

function readPbkdf2({ sha, rounds, salt, text, tag }: Record<string, string | undefined>): Read {
  if (Number(rounds) < 1) return damaged;
  if (Number(rounds) > 2_000_000) return tooCostly;
  // Django's salt is text.
  const salted = text === undefined ? bytesOf(salt) : Buffer.from(text);
  return compare(tag, (password, length) => promisify(pbkdf2)(password, salted, Number(rounds), length, sha!));
}

function compare(tag: string | undefined, derive: (password: Buffer, length: number) => Promise<Buffer>): Read {
  const expected = bytesOf(tag);
  // Shorter hashes could match by chance; no system makes longer ones.
  if (expected.length < 16 || expected.length > 128) return damaged;
  return {
    check: async (password) => {
      const derived = await derive(password, expected.length);
      return derived.length === expected.length && timingSafeEqual(derived, expected);
    },
  };
}

function deriveScrypt(password: Buffer, salt: Buffer, length: number, cost: { N: number; r: number; p: number }) {
  return new Promise<Buffer>((resolve, reject) => {
    const options = { ...cost, maxmem: 256 * cost.N * cost.r + 1_048_576 };
    scrypt(password, salt, length, options, (error, derived) => (error ? reject(error) : resolve(derived)));
  });
}

function isTooLarge(N: number, r: number, p: number): boolean {
  return 128 * N * r > 268_435_456 || N * r * p > 4_194_304;
}

/** Some systems write base64 with a dot in place of the plus. */
function bytesOf(text = ''): Buffer {
  return Buffer.from(text.replaceAll('.', '+'), 'base64');
}
