import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  isSubscribed,
  isSubscribedSql,
  type QuotaBasis,
  type Quotas,
  quotaOf,
  quotaSql,
} from '../../src/account/usage/quota.ts';
import { compile } from '../../src/database/statement.ts';
import { createDatabase } from '../support/database.ts';

const amount = fc.integer({ min: 0, max: 1_000_000_000 });
const quotas: fc.Arbitrary<Quotas> = fc.record({ anonymous: amount, free: amount, paid: amount, bonus: amount });
const basis: fc.Arbitrary<QuotaBasis> = fc.record({
  isGuest: fc.boolean(),
  status: fc.constantFrom('trialing', 'active', 'past_due', 'canceled', null),
  referrals: fc.integer({ min: 0, max: 6 }),
});

test('the quota, and whether it is the paid one, are the same in SQL and in TypeScript', async () => {
  const { query } = await createDatabase();
  const quota = quotaSql({ isGuest: ':isGuest::boolean', status: ':status::text', referrals: ':referrals::int8' });
  const { text, valuesOf } = compile(`select ${quota} as quota, ${isSubscribedSql(':status::text')} as subscribed`);
  await fc.assert(
    fc.asyncProperty(basis, quotas, async (basis, quotas) => {
      const [row] = await query(text, valuesOf({ ...basis, ...quotas }));
      expect(row).toEqual({ quota: `${quotaOf(basis, quotas)}`, subscribed: isSubscribed(basis) });
    }),
    { numRuns: 300 },
  );
});
