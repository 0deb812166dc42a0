export type Weakness = 'too_short' | 'common' | 'context';

// Ten megabytes, loaded when the first password is chosen.
let common: Promise<ReadonlySet<string>> | undefined;

/**
 * Why a password must not be chosen. There are no rules of composition (SP 800-63B-4 section 3.1.1.2).
 *
 * A password is `common` when the list of the most used passwords has it, in any case and also without the digits and
 * marks around it. It is `context` when hardly any letters are left after removing the words that an attacker tries first:
 * the product's name and the words given here.
 */
export async function weaknessesOf(
  password: string,
  minLength: number,
  context: readonly string[],
): Promise<Weakness[]> {
  const normal = password.normalize('NFKC');
  common ??= loadCommon();
  const weaknesses: Weakness[] = [];
  if (lengthOf(password) < minLength) weaknesses.push('too_short');
  if (isCommon(normal.toLowerCase(), await common)) weaknesses.push('common');
  if (restsOn(normal.toLowerCase(), ['gatehouse', ...context.flatMap(wordsOf)])) weaknesses.push('context');
  return weaknesses;
}

/**
 * In code points, of the shorter of the text as typed and its NFKC form. Attack: NFKC makes 18 code points of the one
 * character U+FDFA, and as typed an accent can be a code point of its own.
 */
function lengthOf(password: string): number {
  return Math.min([...password].length, [...password.normalize('NFKC')].length);
}

async function loadCommon(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common');
  return new Set(dictionary['passwords-common'] as readonly string[]);
}

function isCommon(password: string, common: ReadonlySet<string>): boolean {
  const bare = password.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  return common.has(password) || (bare.length >= 4 && common.has(bare));
}

function restsOn(password: string, words: readonly string[]): boolean {
  const rest = words.reduce((left, word) => left.replaceAll(word, ''), password);
  return rest !== password && [...rest.replace(/[^\p{L}]/gu, '')].length < 4;
}

function wordsOf(text: string): string[] {
  const lower = text.toLowerCase();
  return [lower, ...lower.split(/[^\p{L}\p{N}]+/u)].filter((word) => word.length >= 4);
}
