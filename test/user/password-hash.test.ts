import { createContextValues } from '@connectrpc/connect';
import argon2 from 'argon2';
import { describe, expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import { Passwords } from '../../src/user/password.ts';
import {
  deriveWithArgon2,
  fastestDerive,
  type HashCost,
  hashFaultOf,
  hashWith,
  isOutdated,
  verifyWith,
} from '../../src/user/password-hash.ts';

const rust = await import('@node-rs/argon2').catch(() => undefined);
const derives = { argon2: deriveWithArgon2, fastest: await fastestDerive() };
const cheap: HashCost = { memoryCost: 64, timeCost: 1, parallelism: 1 };
const password = Buffer.from('a difference engine');
const pepper = { id: 'cellar', key: Buffer.alloc(32, 7) };
const never = new AbortController().signal;

describe.each(Object.entries(derives))('a hash by %s', (_, derive) => {
  test('is a PHC string with the cost and the pepper’s id, and has a new salt each time', async () => {
    const hash = await hashWith(derive, password, { memoryCost: 72, timeCost: 2, parallelism: 3 });
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=72,t=2,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(await hashWith(derive, password, cheap)).not.toBe(await hashWith(derive, password, cheap));
    const peppered = await hashWith(derive, password, cheap, { pepper });
    expect(peppered).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1,keyid=Y2VsbGFy\$/);
    expect(peppered).not.toContain(pepper.key.toString('base64').slice(0, 20));
  });

  test('is matched by its password alone, with either implementation', async () => {
    const hash = await hashWith(derive, password, cheap);
    const others = [...Object.values(derives)].map((each) => verifyWith(each, hash, password));
    expect(await Promise.all(others)).toEqual([true, true]);
    expect(await argon2.verify(hash, password)).toBe(true);
    expect(await verifyWith(derive, hash, Buffer.from('a difference engin'))).toBe(false);
    expect(await verifyWith(derive, hash, Buffer.concat([password, Buffer.of(0)]))).toBe(false);
  });

  test.skipIf(!rust)('can be checked by @node-rs/argon2, and we can check its hashes', async () => {
    expect(await rust!.verify(await hashWith(derive, password, cheap), password)).toBe(true);
    expect(await verifyWith(derive, await rust!.hash(password, cheap), password)).toBe(true);
    const secret = { secret: pepper.key };
    expect(await rust!.verify(await hashWith(derive, password, cheap, { pepper }), password, secret)).toBe(true);
  });

  test('can be checked by npm argon2, and we can check its hashes', async () => {
    expect(await verifyWith(derive, await argon2.hash(password, cheap), password)).toBe(true);
    expect(
      await argon2.verify(await hashWith(derive, password, cheap, { pepper }), password, { secret: pepper.key }),
    ).toBe(true);
  });

  test('with a pepper needs that pepper, and without one needs none', async () => {
    const other = { ...pepper, id: 'attic' };
    const peppered = await hashWith(derive, password, cheap, { pepper });
    expect(await verifyWith(derive, peppered, password, [other, pepper])).toBe(true);
    expect(await verifyWith(derive, peppered, password)).toBe(false);
    expect(await verifyWith(derive, peppered, password, [other])).toBe(false);
    expect(await verifyWith(derive, peppered, password, [{ ...pepper, key: Buffer.alloc(32, 8) }])).toBe(false);
    expect(await verifyWith(derive, await hashWith(derive, password, cheap), password, [pepper])).toBe(true);
    expect(hashFaultOf(peppered, [pepper])).toBeUndefined();
    expect(hashFaultOf(peppered, [other])).toEqual({ kind: 'pepper', pepper: 'cellar' });
  });
});

const salt = 'c2FsdHNhbHRzYWx0c2FsdA';
const tag = 'A'.repeat(43);
test.each([
  ['nothing', ''],
  ['prose', 'not a hash'],
  ['bcrypt', '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'],
  ['argon2i', `$argon2i$v=19$m=64,t=1,p=1$${salt}$${tag}`],
  ['an older version of argon2', `$argon2id$v=16$m=64,t=1,p=1$${salt}$${tag}`],
  ['a truncated tag', `$argon2id$v=19$m=64,t=1,p=1$${salt}$${tag.slice(1)}`],
  ['no salt', `$argon2id$v=19$m=64,t=1,p=1$$${tag}`],
  ['no memory cost', `$argon2id$v=19$t=1,p=1$${salt}$${tag}`],
  ['a memory cost that is no number', `$argon2id$v=19$m=x,t=1,p=1$${salt}$${tag}`],
  ['a memory cost of a terabyte', `$argon2id$v=19$m=1073741824,t=1,p=1$${salt}$${tag}`],
  ['a million passes', `$argon2id$v=19$m=64,t=1000000,p=1$${salt}$${tag}`],
  ['a thousand lanes', `$argon2id$v=19$m=65536,t=1,p=1000$${salt}$${tag}`],
  ['less memory than its lanes need', `$argon2id$v=19$m=8,t=1,p=2$${salt}$${tag}`],
  ['no passes', `$argon2id$v=19$m=64,t=0,p=1$${salt}$${tag}`],
])('%s is not a hash: no password matches it, nothing is computed, and it is outdated', async (_, stored) => {
  const derive = () => Promise.reject(new Error('must not be computed'));
  expect(await verifyWith(derive, stored, password)).toBe(false);
  expect(hashFaultOf(stored)).toEqual({ kind: 'damaged' });
  expect(isOutdated(stored, cheap)).toBe(true);
});

test('a hash is outdated when the cost or the pepper has changed', async () => {
  const hash = await hashWith(deriveWithArgon2, password, cheap);
  expect(isOutdated(hash, cheap)).toBe(false);
  expect(isOutdated(hash, { ...cheap, memoryCost: 65 })).toBe(true);
  expect(isOutdated(hash, { ...cheap, timeCost: 2 })).toBe(true);
  expect(isOutdated(hash, { ...cheap, parallelism: 2 })).toBe(true);
  expect(isOutdated(hash, cheap, pepper)).toBe(true);
  const peppered = await hashWith(deriveWithArgon2, password, cheap, { pepper });
  expect(isOutdated(peppered, cheap, pepper)).toBe(false);
  expect(isOutdated(peppered, cheap, { ...pepper, id: 'attic' })).toBe(true);
  expect(isOutdated(peppered, cheap)).toBe(true);
});

describe('passwords', () => {
  const open = () => Passwords.open({ cost: cheap, peppers: [], hashConcurrency: 1, hashQueue: 10 }, () => 8);

  test('match in any Unicode form, and not with any other difference', async () => {
    const passwords = await open();
    const hash = await passwords.hash('ﬁrst Café №1', never);
    expect(await passwords.matches(hash, 'first Cafe\u0301 No1', never)).toBe(true);
    for (const other of ['first café No1', 'first Café No1 ', ' first Café No1', 'first Cafe No1'])
      expect(await passwords.matches(hash, other, never), other).toBe(false);
  });

  test('differ when they differ after the 72nd byte', async () => {
    const passwords = await open();
    const start = 'x'.repeat(72);
    const hash = await passwords.hash(`${start}ada`, never);
    expect(await passwords.matches(hash, `${start}bob`, never)).toBe(false);
    expect(await passwords.matches(hash, start, never)).toBe(false);
  });

  test('without a stored hash match nothing, not even the decoy’s own password', async () => {
    const passwords = await open();
    for (const stored of [null, undefined, '', 'damaged'])
      expect(await passwords.matches(stored, 'no user has this password', never)).toBe(false);
  });

  test('rehashed in parallel get the same hash, with another salt than before', async () => {
    const passwords = await open();
    const stored = await hashWith(deriveWithArgon2, password, { ...cheap, timeCost: 2 });
    const both = [1, 2].map(() => passwords.rehash(stored, password.toString(), never));
    const [one, other] = await Promise.all(both);
    expect(one).toBe(other);
    expect(one!.split('$')[4]).not.toBe(stored.split('$')[4]);
    expect(await passwords.matches(one, password.toString(), never)).toBe(true);
  });

  test('that are too weak are refused with all reasons', async () => {
    const passwords = await open();
    const refusal = await passwords
      .hashNew('qwerty', [], { values: createContextValues(), signal: never })
      .catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({
      reason: 'WEAK_PASSWORD',
      options: { metadata: { reasons: 'too_short,common', min_length: '8' } },
    });
  });
});
