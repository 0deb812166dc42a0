import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { BoundTokens } from '../../src/http/oauth/bound-token.ts';

const masterKey = (id: string) => ({ id, key: Buffer.alloc(32, id) });
const [current, former] = [masterKey('b'), masterKey('a')];
const tokens = new BoundTokens(new MasterKeys([current, former]));

describe('a token that is bound to a client', () => {
  const bound = tokens.bind('refresh token', 'tv', 'gh_secret');

  test('does not contain the token', () => {
    expect(tokens.openIfOwn('refresh token', 'tv', bound)).toBe('gh_secret');
    expect(Buffer.from(bound, 'base64url').includes('gh_secret')).toBe(false);
  });

  test('is that of no other client and of no other use', () => {
    expect(tokens.openIfOwn('refresh token', 'tv2', bound)).toBeUndefined();
    expect(tokens.openIfOwn('device code', 'tv', bound)).toBeUndefined();
  });

  test('is valid as long as the key under which it was sealed is configured', () => {
    const old = new BoundTokens(new MasterKeys([former])).bind('device code', 'tv', 'x');
    expect(tokens.openIfOwn('device code', 'tv', old)).toBe('x');
    expect(new BoundTokens(new MasterKeys([current])).openIfOwn('device code', 'tv', old)).toBeUndefined();
  });

  test('has every byte authenticated', () => {
    const bytes = Buffer.from(bound, 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const altered = Buffer.from(bytes);
      altered[at]! ^= 1;
      expect(tokens.openIfOwn('refresh token', 'tv', altered.toString('base64url')), `byte ${at}`).toBeUndefined();
    }
    for (let length = 0; length < bytes.length; length++)
      expect(tokens.openIfOwn('refresh token', 'tv', bytes.toString('base64url', 0, length))).toBeUndefined();
  });
});

test('a tag that is shorter than 16 bytes authenticates nothing, not even the right part of one', () => {
  const keys = new MasterKeys([current]);
  const sealed = keys.seal('a purpose', 'a row', Buffer.alloc(0));
  expect(keys.open('a purpose', 'a row', sealed)).toHaveLength(0);
  for (const length of [4, 8, 12, 15])
    expect(() => keys.open('a purpose', 'a row', sealed.subarray(0, sealed.length - 16 + length))).toThrow();
  expect(() => keys.open('a purpose', 'a row', randomBytes(40))).toThrow();
});
