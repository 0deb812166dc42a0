import { type Duration, durationFromMs } from '@bufbuild/protobuf/wkt';
import { invalid } from './auth-error.ts';

const millisecondsPer: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 0.001,
  ns: 1e-6,
};

/** What BanUser admits. */
const [shortest, longest] = [1000, 3_155_760_000_000];

/** Reads `none`, or a duration such as `24h` or `1h30m` as Go writes it. Undefined for an empty text. */
export function banOf(text: string): Duration | 'none' | undefined {
  if (text === '' || text === 'none') return text || undefined;
  const parts = text.match(/\d{1,12}(?:\.\d{1,9})?(?:h|ms|us|ns|m|s)/g) ?? [];
  const milliseconds = parts.reduce((sum, part) => {
    const [, count, unit] = /^([\d.]+)(\D+)$/.exec(part)!;
    return sum + Number(count) * millisecondsPer[unit!]!;
  }, 0);
  if (parts.join('') !== text || milliseconds < shortest) throw invalid('invalid format for ban duration');
  return durationFromMs(Math.min(Math.round(milliseconds), longest));
}
