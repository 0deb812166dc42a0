import { createCipheriv, pbkdf2, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import argon2 from 'argon2';

/** Whether these bytes make the hash. */
type Check = (password: Buffer) => Promise<boolean>;

/** A hash of another system that a password can be checked against, or why not. */
type Read = { readonly check: Check } | { readonly why: string };

const prefix = 'imported:';

/** How a hash of another system is stored: as it came, and marked, until the first sign-in makes it anew. */
export function markImported(hash: string): string {
  return prefix + hash;
}

/** Reads a stored hash that was marked. Undefined for one of our own. */
export function readMarked(stored: string): Read | undefined {
  return stored.startsWith(prefix) ? readImported(stored.slice(prefix.length)) : undefined;
}

/**
 * Reads a hash of another system. Refused are forms that are not known, damaged ones, and those that would take longer
 * than about a second or more than 256 MiB: whoever signs in must not be able to keep the service from others.
 */
export function readImported(hash: string): Read {
  for (const [form, read] of forms) {
    const parts = form.exec(hash);
    if (parts) return read(parts.groups ?? {}, hash);
  }
  return { why: 'the form is not known' };
}

/**
 * Checks a password against it: the bytes as typed first, since other systems hash those, and the NFKC form after them
 * where that is another.
 */
export async function matchesImported(check: Check, password: string): Promise<boolean> {
  const normal = password.normalize('NFKC');
  if (await check(Buffer.from(password))) return true;
  return normal !== password && check(Buffer.from(normal));
}

type Reader = (parts: Record<string, string | undefined>, hash: string) => Read;

const tooCostly: Read = { why: 'the cost is too high' };
const damaged: Read = { why: 'it is damaged' };
const b64 = '[A-Za-z0-9+/.]+={0,2}';

// The algorithm and its parameters stand first in all of them, then the salt and the hash.
const forms: readonly [RegExp, Reader][] = [
  [/^\$argon2id?\$v=19\$(?<list>[mtp=\d,]+)\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$/, readArgon2],
  [/^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/, readBcrypt],
  [new RegExp(`^\\$scrypt\\$ln=(?<ln>\\d+),r=(?<r>\\d+),p=(?<p>\\d+)\\$(?<salt>${b64})\\$(?<tag>${b64})$`), readScrypt],
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
  const [N, r, p] = [2 ** Number(ln), Number(r$), Number(p$)];
  if (N < 2 || r < 1 || p < 1) return damaged;
  if (isTooLarge(N, r, p)) return tooCostly;
  return compare(tag, (password, length) => deriveScrypt(password, bytesOf(salt), length, { N, r, p }));
}

/** Firebase's: the key of the project, encrypted with AES-256-CTR under what scrypt makes of the password. */
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
  // Less could be hit by chance; more nobody makes.
  if (expected.length < 16 || expected.length > 128) return damaged;
  return {
    check: async (password) => {
      const made = await derive(password, expected.length);
      return made.length === expected.length && timingSafeEqual(made, expected);
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

/** Some write base64 with a dot for the plus. */
function bytesOf(text = ''): Buffer {
  return Buffer.from(text.replaceAll('.', '+'), 'base64');
}
