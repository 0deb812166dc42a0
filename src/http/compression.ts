import { promisify } from 'node:util';
import { brotliCompress, constants, gunzip, gzip } from 'node:zlib';
import { Refusal } from '../errors.ts';
import { largestRequest } from './limits.ts';
import { type Reply, sizeOf } from './reply.ts';

/** The size from which bodies are compressed. */
const smallest = 1024;

const compressGzip = promisify<Uint8Array, Buffer>(gzip);
const compressBrotli = promisify<Uint8Array, object, Buffer>(brotliCompress);
const decompressGzip = promisify<Uint8Array, object, Buffer>(gunzip);

// The default of brotli, 11, takes more than a hundred times as long as gzip.
const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

const compressors = {
  gzip: (body: Uint8Array) => compressGzip(body),
  br: (body: Uint8Array) => compressBrotli(body, quality),
};

type Coding = keyof typeof compressors;

/** A reply in the coding that the client prefers: gzip, brotli or none. */
export async function compressReply(reply: Reply, accepts: string | undefined): Promise<Reply> {
  const coding = chooseCoding(accepts);
  if (!coding) return reply;
  const body = await compressors[coding](Buffer.from(reply.body));
  return { ...reply, headers: { ...reply.headers, 'content-encoding': coding }, body };
}

export function isLarge({ body }: Reply): boolean {
  return body.length >= smallest || sizeOf(body) >= smallest;
}

/** The coding with the highest weight (RFC 9110, section 12.5.3), and the first of several. */
export function chooseCoding(accepts = ''): Coding | undefined {
  let best: Coding | undefined;
  let most = 0;
  for (const entry of accepts.split(',')) {
    const [, name = '', weight = '1'] = /^\s*([^\s;]+)\s*(?:;\s*q\s*=\s*([\d.]+)\s*)?$/i.exec(entry) ?? [];
    const coding = name.toLowerCase();
    if (!(coding === 'gzip' || coding === 'br') || !(Number(weight) > most)) continue;
    best = coding;
    most = Number(weight);
  }
  return best;
}

/** Throws REQUEST_TOO_LARGE, and MALFORMED_REQUEST for what is not in gzip. `noun` names it in the sentence. */
export async function unzip(bytes: Uint8Array, noun: string): Promise<Uint8Array> {
  if (bytes.byteLength === 0) return bytes;
  try {
    return await decompressGzip(bytes, { maxOutputLength: largestRequest });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new Refusal('REQUEST_TOO_LARGE', { cause });
    throw new Refusal('MALFORMED_REQUEST', { cause, detail: `${noun} is not in gzip` });
  }
}
