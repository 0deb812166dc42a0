import { createHash } from 'node:crypto';

export const ada = { email: 'ada@example.org', password: 'a difference engine', name: 'Ada' };
export const bob = { email: 'bob@example.org', password: 'an analytical mind', name: 'Bob' };
/** The operator of the installation. */
export const grace = { email: 'grace@example.org', password: 'a compiler of her own', name: 'Grace' };

/** The key with which tests call as a backend. */
export const serviceKey = 'ghs_a-key-that-only-tests-have';

export const asService = { headers: { authorization: `Bearer ${serviceKey}` } };

/** The secret with which the billing system signs its webhooks in tests. */
export const billingSecret = createHash('sha256').update('the billing secret of tests').digest();

/** The settings of every replica in tests. A test adds its own. */
export const testEnv = {
  NODE_ENV: 'test',
  DATA_DIR: '/nonexistent',
  GRPC_PORT: '0',
  HTTP_PORT: '0',
  ADMIN_PORT: '0',
  PUBLIC_URL: 'http://gatehouse.test',
  LOG_LEVEL: 'trace',
  MASTER_KEYS: `test:${createHash('sha256').update('the master key of tests').digest('base64')}`,
  SERVICE_KEYS: `backend:${createHash('sha256').update(serviceKey).digest('hex')}`,
  BILLING_WEBHOOK_SECRETS: `whsec_${billingSecret.toString('base64')}`,
  PASSWORD_HASH_COST: 'm=64,t=1,p=1',
  DATABASE_POOL_SIZE: '30',
  HASH_CONCURRENCY: '2',
  HASH_QUEUE: '1000',
  LIMITS: '*=off',
  // Tests of the heartbeat switch it on.
  HEARTBEAT: 'off',
  TRUSTED_DEVICE_DAYS: '30',
  SHUTDOWN_GRACE: '5',
} as const;
