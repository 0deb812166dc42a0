/** Maximum size of a request in bytes, before and after decompression. No valid request comes near it. */
export const largestRequest = 64 * 1024;

/** Maximum size in bytes of all headers of a request together. */
export const largestHeader = 16 * 1024;
