/** An address as the HTML standard defines it, which is the rule `email: true` of the contract: ASCII only. */
const form =
  /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;

const mostCharacters = 254;

/** Without the white space around it, which comes with copied text. White space alone stays, so that it is refused. */
export function trimAddress(text: string): string {
  return text.trim() || text;
}

/** The address in the text, as it is stored and shown. Undefined if the text is no address. */
export function readAddress(text: string): string | undefined {
  const address = trimAddress(text);
  return address.length <= mostCharacters && form.test(address) ? address : undefined;
}

/**
 * The letters A to Z in lower case. Attack: toLowerCase also maps other characters to ASCII letters, such as the Kelvin
 * sign U+212A to k, so that text which is not an address would match one.
 */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
