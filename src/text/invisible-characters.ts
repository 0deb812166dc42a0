/**
 * Characters that nobody sees and that change how what stands around them is read: the directions of writing (Bidi_Control),
 * the space without width, the mark of byte order, the soft hyphen. With one of them a name looks like somebody else's, and
 * is another. The joiners U+200C and U+200D are none of them: scripts and emoji need them.
 */
export const unseen = /\u00ad|\u061c|\u200b|\u200e|\u200f|[\u202a-\u202e]|[\u2066-\u2069]|\ufeff/u;
