import { isWithin } from '../config/closest-name.ts';

/**
 * The candidate that a misspelt word probably means: one that it begins, or the one with the fewest edits, at most half of
 * the word's length. Undefined when it is similar to none.
 */
export function findNearest(word: string, candidates: readonly string[]): string | undefined {
  const begun = word.length > 1 ? candidates.find((each) => each.startsWith(word)) : undefined;
  const most = Math.min(4, Math.floor(word.length / 2));
  return (
    begun ??
    [1, 2, 3, 4]
      .slice(0, most)
      .map((edits) => candidates.find((each) => isWithin(edits, word, each)))
      .find(Boolean)
  );
}

/** The end of a sentence about an unknown word. */
export function suggest(meant: string | undefined, otherwise: string): string {
  return meant ? `; did you mean '${meant}'?` : `; ${otherwise}`;
}
