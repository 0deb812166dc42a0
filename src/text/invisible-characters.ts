/**
 * Invisible characters that change how the text around them is read: the controls of writing direction (Bidi_Control), the
 * zero width space, the byte order mark, the soft hyphen. Attack: with one of them a name looks like the name of another
 * user. The joiners U+200C and U+200D are allowed, because scripts and emoji need them.
 */
export const unseen = /\u00ad|\u061c|\u200b|\u200e|\u200f|[\u202a-\u202e]|[\u2066-\u2069]|\ufeff/u;

/**
 * The text without marks of writing direction at its ends. Keyboards and copied text of right-to-left scripts leave them
 * there, where they change the reading of nothing.
 */
export function trimMarks(text: string): string {
  return text.replace(/^[\u061c\u200e\u200f]+|[\u061c\u200e\u200f]+$/gu, '');
}
