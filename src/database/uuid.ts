import { randomFillSync } from 'node:crypto';

let last = 0;
let counter = 0;

/**
 * A version 7 UUID (RFC 9562, section 5.7): sorted by time, and monotonic within a millisecond through a 12-bit counter.
 * For keys, because neighbours share a page of the index. Not for secrets.
 */
export function uuidv7(now: Date): string {
  const bytes = randomFillSync(Buffer.allocUnsafe(16));
  tick(now.getTime(), bytes.readUInt16BE(6));
  bytes.writeUIntBE(last, 0, 6);
  bytes.writeUInt16BE(0x7000 | counter, 6);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function tick(time: number, random: number): void {
  if (time > last) {
    last = time;
    counter = random & 0x7ff;
  } else if (++counter > 0xfff) {
    counter = 0;
    last++;
  }
}
