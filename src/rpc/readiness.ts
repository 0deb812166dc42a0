/**
 * Whether a replica can serve. It is `degraded` while it has a connection to a writable database, but writes fail: reads
 * still succeed, and another replica would fare no better.
 */
export type Readiness = 'ready' | 'degraded' | 'not ready';
