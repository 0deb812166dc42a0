export type Cbor = number | string | boolean | null | Uint8Array | readonly Cbor[] | ReadonlyMap<Cbor, Cbor>;

/** An attestation statement with certificates is four levels deep. */
const mostDepth = 8;

/**
 * Reads the first item of CBOR as authenticators write it (CTAP 2.1, section 8): definite lengths in the shortest form, no
 * tags, no floating-point numbers, no duplicate keys. Returns the item and the position behind it.
 *
 * Attack: a lenient reader takes two spellings of a value for one, or loses itself in nested items.
 */
export function readCbor(bytes: Uint8Array, start = 0): readonly [item: Cbor, end: number] {
  return new Reader(bytes, start).readFirst();
}

/** Thrown for bytes that are not such CBOR. */
export class CborFault extends Error {}

class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  readFirst(): readonly [Cbor, number] {
    return [this.#read(0), this.#at];
  }

  #read(depth: number): Cbor {
    if (depth > mostDepth) throw new CborFault('nested too deeply');
    const first = this.#take(1)[0]!;
    const type = first >> 5;
    if (type === 7) return simpleOf(first);
    const argument = this.#argument(first & 0x1f);
    if (type === 0) return argument;
    if (type === 1) return -1 - argument;
    if (type === 2) return Uint8Array.from(this.#take(argument));
    if (type === 3) return new TextDecoder('utf-8', { fatal: true }).decode(this.#take(argument));
    if (type === 4) return this.#items(argument).map(() => this.#read(depth + 1));
    if (type === 5) return this.#map(argument, depth);
    throw new CborFault('a tag');
  }

  #argument(info: number): number {
    if (info < 24) return info;
    if (info > 26) throw new CborFault('an indefinite or too large length');
    const size = 1 << (info - 24);
    const value = this.#take(size).readUIntBE(0, size);
    // The least number that needs so many bytes.
    if (value < (size === 1 ? 24 : 256 ** (size / 2))) throw new CborFault('not in the shortest form');
    return value;
  }

  #map(count: number, depth: number): ReadonlyMap<Cbor, Cbor> {
    const map = new Map<Cbor, Cbor>();
    for (const _ of this.#items(2 * count).slice(count)) {
      const key = this.#read(depth + 1);
      if ((typeof key !== 'number' && typeof key !== 'string') || map.has(key)) throw new CborFault('a key');
      map.set(key, this.#read(depth + 1));
    }
    return map;
  }

  /** An array of this length, each of whose items takes a byte at least. */
  #items(count: number): undefined[] {
    if (count > this.#bytes.length - this.#at) throw new CborFault('too short');
    return Array.from({ length: count });
  }

  #take(count: number): Buffer {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw new CborFault('too short');
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

function simpleOf(byte: number): boolean | null {
  if (byte === 0xf4) return false;
  if (byte === 0xf5) return true;
  if (byte === 0xf6) return null;
  throw new CborFault('a simple value or a number with a fraction');
}
