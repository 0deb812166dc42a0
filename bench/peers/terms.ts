/* What is equal for all sides of `npm run bench:peers`, beside the machine, the PostgreSQL and the generator. */

/** Connections of each server to PostgreSQL. */
export const poolSize = 10;
/** Calls in flight. */
export const slots = 32;
export const userCount = 2000;
export const sessionCount = 10_000;
/** Seeded tokens that the calls use. */
export const refreshTokens = 64;
export const accessTokens = 200;
/** Of the client of OAuth. */
export const client = { id: 'bench', secret: 'the secret of the client of benchmarks' };
