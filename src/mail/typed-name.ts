/** Characters of a name beyond which it is rather a text. */
const longest = 64;

// Also the spellings of a dot that NFKC does not make one.
const joiningSigns = /[.。:/\\@]+(?=\p{DI}*[\p{L}\p{N}[+])/gu;

/**
 * A name that somebody has typed, as it may stand in a mail of ours: one line, no longer than names are, and nothing that
 * a program for mail makes a link of. Otherwise whoever names themselves `evil.example` sends strangers there under our
 * address.
 */
export function asWords(typed: string): string {
  const words = typed
    .normalize('NFKC')
    .replace(/\p{Bidi_Control}/gu, '')
    .replace(joiningSigns, ' ')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  const characters = [...words];
  return characters.length > longest ? `${characters.slice(0, longest).join('')}…` : words;
}
