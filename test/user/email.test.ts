import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emailKey } from '../../src/user/email.ts';

describe('the key of an address', () => {
  test.each([
    ['white space', ' ada@example.org\t', 'ada@example.org'],
    ['letter case', 'ADA@Example.ORG', 'ada@example.org'],
    ['the Unicode form', 'Ame\u0301lie@example.org', 'am\u00e9lie@example.org'],
    ['how the domain is written', 'ada@Bücher.example', 'ada@xn--bcher-kva.example'],
  ])('does not depend on %s', (_, typed, key) => {
    expect(emailKey(typed)).toBe(key);
  });

  test.each(['a.d.a@example.org', 'ada+news@example.org'])('keeps the local part of %s', (email) => {
    expect(emailKey(email)).toBe(email);
    expect(emailKey(email)).not.toBe(emailKey('ada@example.org'));
  });

  test('is the key of itself', () => {
    fc.assert(fc.property(fc.emailAddress(), (email) => emailKey(emailKey(email)) === emailKey(email)));
  });
});
