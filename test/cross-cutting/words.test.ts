import { describe, expect, test } from 'vitest';
import { findFaults } from '../../tools/commit-subjects.ts';
import { findRefusedWords } from '../../tools/words.ts';

// Written in two halves, so that the check does not find them here.
const join = (...parts: string[]) => parts.join('');

describe('the check of words', () => {
  test.each([
    ['src/a.ts', join('// Only who', 'ever waits.')],
    ['src/a.ts', join('/** Wh', 'o may call. */')],
    ['src/a.ts', join(' * Wh', 'ose row it is')],
    ['proto/a.proto', join('  // Wh', 'o invited.')],
    ['test/a.test.ts', join("test('wh", "o leaves is removed', () => {")],
    ['test/a.test.ts', join("describe.each(wires)('wh", "o signs in over %s', () => {")],
    ['src/a.ts', join('throw new Error("the key is no', 'ne");')],
    ['src/a.ts', join('// The client is to', 'ld.')],
    ['src/a.ts', join('/** Hea', 'rs of every mail. */')],
    ['docs/a.md', join('- **Wh', 'o dies** is replaced.')],
    ['docs/a.md', join('Wh', 'o leaves is removed.')],
  ])('refuses in %s: %s', (file, line) => {
    expect(findRefusedWords(file, `one\n${line}`)).toEqual([expect.stringMatching(new RegExp(`^${file}:2: `))]);
  });

  test.each([
    ['src/a.ts', '// The caller, who waits, is not one of them: there are none.'],
    ['src/a.ts', '/** Whole days. */'],
    ['src/a.ts', '// A dead value and an unknown one are told apart.'],
    ['docs/a.md', '## Who may import whom'],
    ['test/a.test.ts', "test('the user who leaves is removed', () => {"],
  ])('admits in %s: %s', (file, line) => {
    expect(findRefusedWords(file, line)).toEqual([]);
  });
});

describe('the check of commit subjects', () => {
  test.each([
    'Add a glossary',
    'Run npm scripts on Node 24 whatever Node npm runs on',
    'Pass the clock as an argument',
  ])('admits: %s', (subject) => {
    expect(findFaults(subject)).toEqual([]);
  });

  test.each([
    ['Add a glossary.', 'ends with a period'],
    ['add a glossary', 'begins without a capital'],
    ['Added a glossary', '"Added" is not an imperative'],
    ['Adds a glossary', '"Adds" is not an imperative'],
    ['The glossary has every word', '"The" is not an imperative'],
    ['Add a glossary; remove the index', 'joins several changes by ; or :'],
    ['docs: add a glossary', 'joins several changes by ; or :'],
    [`Add ${'x'.repeat(69)}`, '73 characters, 72 at most'],
  ])('refuses: %s', (subject, fault) => {
    expect(findFaults(subject)).toContain(fault);
  });
});
