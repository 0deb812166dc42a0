import { randomBytes, randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { kindOfCredential } from '../../src/api-key/credential.ts';
import { composeKey, hashKey, readKey, shownPrefixOf } from '../../src/api-key/key-text.ts';

const scanned = /\bghk_(live|test)_[0-9A-Za-z]{71}\b/;

test('a key has the form that secret scanners look for, names its user, and is read again', () => {
  for (let round = 0; round < 500; round++) {
    const userId = randomUUID();
    const text = composeKey('live', userId);
    expect(text).toMatch(scanned);
    expect(text).toHaveLength(80);
    expect(readKey('live', text)).toEqual({ userId, hash: hashKey(text) });
  }
});

test('the smallest and the largest user and secret have keys of the same length', () => {
  for (const userId of ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'])
    for (const secret of [Buffer.alloc(32), Buffer.alloc(32, 255)]) {
      const text = composeKey('test', userId, secret);
      expect(text).toHaveLength(80);
      expect(readKey('test', text)?.userId).toBe(userId);
    }
});

test('one secret makes one key, and 256 random bits are in each', () => {
  const userId = randomUUID();
  const secret = randomBytes(32);
  expect(composeKey('live', userId, secret)).toBe(composeKey('live', userId, secret));
  const others = Array.from({ length: 2000 }, () => composeKey('live', userId).slice(9, 9 + 43));
  expect(new Set(others).size).toBe(2000);
});

test('the checksum is the CRC-32 of everything before it, in base 62', () => {
  const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  const text = composeKey('live', randomUUID());
  const written = [...text.slice(-6)].reduce((value, each) => value * 62 + alphabet.indexOf(each), 0);
  expect(written).toBe(crc32(text.slice(0, -6)));
});

test('a text that differs from a key in any character is no key', () => {
  const text = composeKey('live', randomUUID());
  for (let index = 0; index < text.length; index++) {
    const other = text[index] === '7' ? '8' : '7';
    expect(readKey('live', text.slice(0, index) + other + text.slice(index + 1)), `${index}`).toBeUndefined();
  }
  for (const spoilt of [text.slice(0, -1), `${text}0`, ` ${text}`, `${text}\n`, text.toUpperCase(), 'ghk_live_', ''])
    expect(readKey('live', spoilt), spoilt).toBeUndefined();
});

test('a user id that is no 16 bytes is no key, though its checksum is right', () => {
  const body = `ghk_live_${'0'.repeat(43)}${'z'.repeat(22)}`;
  let checksum = '';
  for (let rest = crc32(body); checksum.length < 6; rest = Math.floor(rest / 62))
    checksum = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'[rest % 62] + checksum;
  expect(readKey('live', body + checksum)).toBeUndefined();
});

test('a key of one environment is unknown to the other', () => {
  const userId = randomUUID();
  expect(readKey('live', composeKey('test', userId))).toBeUndefined();
  expect(readKey('test', composeKey('live', userId))).toBeUndefined();
});

test('the part that is shown tells the keys of one user apart, and has at most 20 characters', () => {
  const userId = randomUUID();
  const shown = Array.from({ length: 200 }, () => shownPrefixOf(composeKey('live', userId)));
  expect(new Set(shown).size).toBe(200);
  expect(Math.max(...shown.map((each) => each.length))).toBeLessThanOrEqual(20);
});

test.each([
  ['eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', 'access token'],
  ['eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.', 'access token'],
  [composeKey('test', randomUUID()), 'api key'],
  ['ghk_', 'api key'],
  ['ghs_a-key', 'service key'],
  ['a.b.c', 'service key'],
  ['ghs_backend.example.org', 'service key'],
  ['v1.0', 'service key'],
  ['eyJ.no', 'service key'],
  ['x.eyJhbGciOiJFUzI1NiJ9.c2ln', 'service key'],
  ['..', 'service key'],
])('%s is read as %s', (text, kind) => {
  expect(kindOfCredential(text)).toBe(kind);
});
