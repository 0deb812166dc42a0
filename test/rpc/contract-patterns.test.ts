import { RE2JS } from '@bufbuild/re2';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { regexMatch } from '../../src/rpc/contract-rules.ts';
import { readSources } from '../support/source.ts';

/** The patterns of the contract, as the rules have them. */
const patterns = new Set(
  readSources('proto/gatehouse/v1/*.proto').flatMap(({ text }) =>
    [...text.matchAll(/\bpattern(?: =|:) ("(?:[^"\\]|\\.)*")/g)].map(([, literal]) => JSON.parse(literal!) as string),
  ),
);

test('the contract has patterns', () => {
  expect(patterns.size).toBeGreaterThan(10);
});

test.each([...patterns])('V8 and RE2 read %s alike', (pattern) => {
  const re2 = RE2JS.compile(pattern);
  const matching = fc.stringMatching(new RegExp(pattern, 'u'), { maxLength: 80 });
  const anything = fc.string({ unit: 'binary', maxLength: 8 });
  const text = fc.oneof(
    anything,
    matching,
    fc.tuple(matching, anything).map((both) => both.join('')),
  );
  fc.assert(fc.property(text, (each) => regexMatch(pattern, each) === re2.test(each)));
  for (const each of ['', '\n', 'a\n', '\u0378', '\ud800', '\u{10ffff}', '\ue000', '\u200d'])
    expect(regexMatch(pattern, each), JSON.stringify(each)).toBe(re2.test(each));
});

test.each([...patterns])('%s does not backtrack', (pattern) => {
  const hard = ['a', '-', '0', ' ', 'a-', 'aa-', 'A1-aaaaaaaa'].map((each) => `${each.repeat(20_000)}\u0000`);
  const before = performance.now();
  for (const each of hard) regexMatch(pattern, each);
  expect(performance.now() - before).toBeLessThan(500);
});
