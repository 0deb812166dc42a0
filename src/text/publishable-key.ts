/** Shows that a key names a project. */
export const publishablePrefix = 'ghpub_';
