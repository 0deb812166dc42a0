import type { IncomingMessage } from 'node:http';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { Refusal } from '../errors.ts';
import { unzip } from './compression.ts';
import { hasNoBody } from './lenient-request.ts';
import { largestRequest } from './limits.ts';

/** The bytes of a message as they came, decompressed. */
export interface Sent {
  readonly bytes: Uint8Array;
  /** What a person calls it. */
  readonly noun: string;
}

/** Reads the body of a POST. Undefined for a request without a body. Throws REQUEST_TOO_LARGE. */
export async function readSentBody(req: IncomingMessage, isGzip: boolean): Promise<Sent | undefined> {
  if (hasNoBody(req)) return undefined;
  const noun = 'the body';
  const body = await readBody(req, largestRequest);
  return { bytes: isGzip ? await unzip(body, noun) : body, noun };
}

/** Reads the parameter `message` of a GET. */
export async function readSentQuery(query: URLSearchParams, isGzip: boolean): Promise<Sent> {
  const noun = 'the parameter message';
  const text = query.get('message') ?? '';
  const bytes = query.get('base64') === '1' ? decodeBase64(text, noun) : Buffer.from(text);
  return { bytes: isGzip ? await unzip(bytes, noun) : bytes, noun };
}

function decodeBase64(text: string, noun: string): Uint8Array {
  try {
    return base64Decode(text);
  } catch {
    throw new Refusal('MALFORMED_REQUEST', { detail: `${noun} is not base64` });
  }
}

// To iterate over the request would be shorter, and slower.
/** Reads a body of limited size. Throws REQUEST_TOO_LARGE. */
export function readBody(req: IncomingMessage, largest: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // The client has left before: neither an end nor an error comes.
    if (req.destroyed && !req.readableEnded) {
      reject(new Refusal('CANCELED'));
      return;
    }
    if (Number(req.headers['content-length'] ?? 0) > largest) {
      reject(new Refusal('REQUEST_TOO_LARGE'));
      return;
    }
    const parts: Buffer[] = [];
    let length = 0;
    req.on('data', (part: Buffer) => {
      length += part.length;
      if (length > largest) reject(new Refusal('REQUEST_TOO_LARGE'));
      else parts.push(part);
    });
    req.once('end', () => resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts)));
    req.once('error', reject);
  });
}
