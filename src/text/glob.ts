/** Matches a whole text. */
export type Glob = (text: string) => boolean;

/** One step of a pattern: the characters that it takes, and whether it takes any number of them. */
interface Step {
  readonly takes: (character: string) => boolean;
  readonly isRepeated: boolean;
}

const isNoSeparator = (character: string) => character !== '.' && character !== '/';

/**
 * Compiles a pattern for URLs. `*` stands for any characters except `.` and `/`, `**` for any characters, `?` for one
 * character except these, `[a-z]` and `[!a-z]` for one of a set. A backslash makes the next character plain. Undefined
 * for a pattern with a bracket that is not closed, or with a brace.
 */
export function compileGlob(pattern: string): Glob | undefined {
  const tokens = pattern.match(/\*\*+|\*|\?|\\.|\[!?[^\]]+\]|[^\\[\]{}]/gs) ?? [];
  if (tokens.join('') !== pattern) return undefined;
  const steps = tokens.map(stepOf);
  return (text) => matches(steps, text);
}

function stepOf(token: string): Step {
  if (token.startsWith('**')) return { takes: () => true, isRepeated: true };
  if (token === '*') return { takes: isNoSeparator, isRepeated: true };
  if (token === '?') return { takes: isNoSeparator, isRepeated: false };
  if (token.length > 2 && token.startsWith('[')) return { takes: setOf(token), isRepeated: false };
  const plain = token.length === 2 ? token.slice(1) : token;
  return { takes: (character) => character === plain, isRepeated: false };
}

/** Whether a character is in the set, which never has a separator: a set is no way around the limits of `*`. */
function setOf(token: string): Step['takes'] {
  const isNegated = token[1] === '!';
  const ranges = token.slice(isNegated ? 2 : 1, -1).match(/.-.|./gs) ?? [];
  const has = (character: string) => ranges.some((each) => each[0]! <= character && character <= each.at(-1)!);
  return (character) => isNoSeparator(character) && has(character) !== isNegated;
}

/**
 * Follows all places in the pattern at once: the time is proportional to the pattern times the text. A regular expression
 * would take much longer for some texts, and clients choose the text.
 */
function matches(steps: readonly Step[], text: string): boolean {
  let places = reached(steps, new Set([0]));
  for (const character of text) {
    const next = new Set<number>();
    for (const place of places) {
      const step = steps[place];
      if (step?.takes(character)) next.add(step.isRepeated ? place : place + 1);
    }
    places = reached(steps, next);
    if (places.size === 0) return false;
  }
  return places.has(steps.length);
}

/** A repeated step takes no character, too. */
function reached(steps: readonly Step[], places: ReadonlySet<number>): ReadonlySet<number> {
  const all = new Set(places);
  for (const place of all) if (steps[place]?.isRepeated) all.add(place + 1);
  return all;
}
