/**
 * The one spelling of an address under which it is unique and looked up: trimmed, NFC, lower case, the domain in ASCII.
 *
 * The local part is never folded further: dots and plus tags belong to the mailbox, not to us.
 */
export function emailKey(email: string): string {
  const trimmed = email.trim().normalize('NFC').toLowerCase();
  const at = trimmed.lastIndexOf('@');
  return trimmed.slice(0, at + 1) + asciiDomain(trimmed.slice(at + 1));
}

function asciiDomain(domain: string): string {
  if (/^[\x21-\x7e]*$/.test(domain)) return domain;
  try {
    return new URL(`http://${domain}`).hostname;
  } catch {
    return domain;
  }
}
