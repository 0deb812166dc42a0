import { createDecipheriv, hash } from 'node:crypto';

const nonceBytes = 24;
const tagBytes = 16;
const hex = /^(?:\$ba\$\d+\$)?((?:[0-9a-f]{2})+)$/;

/**
 * Decrypts a value of Better Auth: XChaCha20-Poly1305 under the SHA-256 hash of its secret, in hexadecimal digits behind
 * their nonce. Undefined when it was encrypted with another secret, or not at all.
 */
export function decryptBetterAuth(secret: string, value: string): string | undefined {
  const digits = hex.exec(value)?.[1];
  const bytes = Buffer.from(digits ?? '', 'hex');
  if (bytes.length < nonceBytes + tagBytes) return undefined;
  const nonce = bytes.subarray(0, nonceBytes);
  // The key and the nonce of ChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, section 2.3).
  const key = hchacha20(hash('sha256', secret, 'buffer'), nonce.subarray(0, 16));
  const shortNonce = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
  const decipher = createDecipheriv('chacha20-poly1305', key, shortNonce, { authTagLength: tagBytes });
  decipher.setAuthTag(bytes.subarray(-tagBytes));
  try {
    const plain = decipher.update(bytes.subarray(nonceBytes, -tagBytes));
    return Buffer.concat([plain, decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}

const constants = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574];
const rounds = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const;

/** HChaCha20 (draft-irtf-cfrg-xchacha-03, section 2.2), which node:crypto lacks. */
export function hchacha20(key: Buffer, nonce: Buffer): Buffer {
  const words = (bytes: Buffer) =>
    Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32LE(4 * index));
  const state = Uint32Array.from([...constants, ...words(key), ...words(nonce)]);
  for (let round = 0; round < 10; round++) for (const quarter of rounds) mix(state, quarter);
  const derived = Buffer.alloc(32);
  for (const [index, word] of [...state.subarray(0, 4), ...state.subarray(12)].entries())
    derived.writeUInt32LE(word, 4 * index);
  return derived;
}

function mix(state: Uint32Array, [a, b, c, d]: (typeof rounds)[number]): void {
  const add = (to: number, from: number) => {
    state[to] = state[to]! + state[from]!;
  };
  const turn = (at: number, by: number, bits: number) => {
    const word = state[at]! ^ state[by]!;
    state[at] = (word << bits) | (word >>> (32 - bits));
  };
  add(a, b);
  turn(d, a, 16);
  add(c, d);
  turn(b, c, 12);
  add(a, b);
  turn(d, a, 8);
  add(c, d);
  turn(b, c, 7);
}
