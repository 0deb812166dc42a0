import { english } from './english.ts';
import { german } from './german.ts';
import type { Words } from './words.ts';

const languages = { en: english, de: german } as const;

export type Language = keyof typeof languages;

export function wordsOf(language: Language): Words {
  return languages[language];
}

/** The available language that the browser prefers (RFC 9110, section 12.5.4). */
export function chooseLanguage(acceptLanguage: string, otherwise: Language): Language {
  const wanted = acceptLanguage.split(',').map((each) => {
    const [range = '', ...parameters] = each.split(';').map((part) => part.trim().toLowerCase());
    const weight = Number(parameters.find((part) => part.startsWith('q='))?.slice(2) ?? 1);
    return { language: range.split('-', 1)[0]!, weight };
  });
  const known = wanted.filter(({ language, weight }) => Object.hasOwn(languages, language) && weight > 0);
  // Sorting keeps the order of languages with the same weight.
  return (known.toSorted((a, b) => b.weight - a.weight)[0]?.language as Language | undefined) ?? otherwise;
}
