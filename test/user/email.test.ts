import { create } from '@bufbuild/protobuf';
import { createValidator } from '@bufbuild/protovalidate';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CreateUserRequestSchema } from '../../gen/gatehouse/v1/admin_pb.ts';
import { trimText } from '../../src/rpc/trim-text.ts';
import { readAddress } from '../../src/text/email-address.ts';
import { emailKey } from '../../src/user/email.ts';

/** Characters that some spelling, URL parser or normal form takes for those of kim@kiosk.example. */
const confusable =
  'kK\u212a\uff2b\uff4bi\u0130\u0131\u2170sS\u017f\u00dfxX.\u3002\uff0e@\uff20\ufe6b/?#:\\%[]\u00ad\u200b\u0301 \u00a0\t\n\ufeffé';
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.emailAddress(),
  fc.string({ unit: fc.constantFrom(...confusable), maxLength: 12 }).map((end) => `kim@kiosk.example${end}`),
  fc.string({ unit: fc.constantFrom(...confusable), maxLength: 12 }).map((start) => `${start}kim@kiosk.example`),
  fc.tuple(fc.nat(16), fc.constantFrom(...confusable)).map(([at, other]) => {
    const text = 'kim@kiosk.example';
    return text.slice(0, at) + other + text.slice(at + 1);
  }),
);

describe('the key of an address', () => {
  test.each([
    ['white space', ' \u00a0\u2003\ufeffada@example.org\t\r\n', 'ada@example.org'],
    ['letter case', 'ADA@Example.ORG', 'ada@example.org'],
  ])('does not depend on %s', (_, typed, key) => {
    expect(emailKey(typed)).toBe(key);
    expect(emailKey(readAddress(typed)!)).toBe(key);
  });

  test.each(['a.d.a@example.org', 'ada+news@example.org'])('keeps the local part of %s', (email) => {
    expect(emailKey(email)).toBe(email);
    expect(emailKey(email)).not.toBe(emailKey('ada@example.org'));
  });

  test('is the key of itself', () => {
    fc.assert(fc.property(fc.emailAddress(), (email) => emailKey(emailKey(email)) === emailKey(email)));
  });

  test('of text that is no address is no address', () => {
    const check = (text: string) => {
      expect(readAddress(emailKey(text)) === undefined).toBe(readAddress(text) === undefined);
    };
    fc.assert(fc.property(anyText, check), { numRuns: 2000 });
  });
});

test('what is an address, the contract and the import agree on', () => {
  const validator = createValidator();
  const check = (email: string) => {
    const request = create(CreateUserRequestSchema, { email });
    trimText(CreateUserRequestSchema, request);
    const isValid = validator.validate(CreateUserRequestSchema, request).kind === 'valid';
    expect(readAddress(email)).toBe(isValid ? request.email : undefined);
  };
  fc.assert(fc.property(anyText, check), { numRuns: 2000 });
  for (const length of [254, 255]) check(`${'a'.repeat(length - 12)}@example.org`);
});
