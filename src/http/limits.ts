/** Bytes a request may have, before and after decompression. Nothing we take comes near it. */
export const largestRequest = 64 * 1024;

/** Bytes of all headers of a request together. */
export const largestHeader = 16 * 1024;
