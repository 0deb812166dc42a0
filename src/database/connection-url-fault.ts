/** Why a connection URL cannot be used. The message stands next to secrets, so it never contains a value. */
export class ConnectionUrlFault extends Error {
  override name = 'ConnectionUrlFault';
}

/** Decodes a percent-encoded part of the URL. */
export function decode(text: string | undefined, part: string): string {
  try {
    const decoded = decodeURIComponent(text ?? '');
    if (!decoded.includes('\0')) return decoded;
  } catch {}
  throw new ConnectionUrlFault(`${part} contains a % that encodes no character: write a % itself as %25`);
}
