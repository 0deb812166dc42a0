import { globSync, readFileSync } from 'node:fs';

/*
 * Refuses words that make a sentence a riddle (CONTRIBUTING.md, "Words"). Without arguments it reads everything that
 * people read: sources, protos, documents, tests, tools.
 */
const places = [
  '*.md',
  '{docs,deploy,bench}/**/*.{md,ts,yml,yaml,json}',
  '{src,test,tools}/**/*.{ts,txt}',
  'proto/**/*.proto',
  'tools/node',
  '.ci/*',
];

const self = 'tools/words.ts';

interface Rule {
  readonly refused: RegExp;
  /** What to write instead. */
  readonly instead: string;
}

const rules: readonly Rule[] = [
  { refused: /\bwhoever\b/i, instead: 'name the one who acts: the caller, a client, an operator' },
  { refused: /(?<!\bthere )\bis none\b/i, instead: 'say what it is, or "there is none"' },
  { refused: /(?:\/\/|\/\*\*?|^\s*\*)\s*Who(?:m|se)?\b/, instead: 'begin the comment with a noun or a verb' },
  { refused: /\b(?:test|describe)\b.*\(\s*['"`]who(?:m|se)? /i, instead: 'begin the title with a noun' },
  {
    refused: /\b(?:is|are|was|were|be|been) told\b(?! apart)/i,
    instead: 'receives, returns, reveals; people are notified',
  },
  { refused: /\bhears\b/i, instead: 'receives' },
];

// The first words of a paragraph or of a list entry.
const ofDocuments: Rule = { refused: /^(?:[-*] )?\**Who(?:m|se)? /, instead: 'begin the sentence with a noun' };

/** One line for each place in the text that a rule refuses. */
export function findRefusedWords(file: string, text: string): string[] {
  const applied = file.endsWith('.md') ? [...rules, ofDocuments] : rules;
  return text.split('\n').flatMap((line, index) =>
    applied
      .map(({ refused, instead }) => ({ found: refused.exec(line)?.[0].trim(), instead }))
      .filter(({ found }) => found)
      .map(({ found, instead }) => `${file}:${index + 1}: "${found}" (${instead})`),
  );
}

if (import.meta.main) {
  const files = globSync(places).filter((file) => file !== self);
  const found = files.sort().flatMap((file) => findRefusedWords(file, readFileSync(file, 'utf8')));
  for (const line of found) console.error(line);
  if (found.length > 0) process.exitCode = 1;
}
