import { expect, test } from 'vitest';
import { weaknessesOf } from '../../src/user/password-strength.ts';

const who = ['ada.lovelace@example.org', 'Ada Lovelace', 'Zuckerkandl'];

test.each([
  ['1234567', ['too_short', 'common']],
  ['🙈🙉🙊🐵🐒🦍🦧', ['too_short']],
  ['e\u0301'.repeat(7), ['too_short']],
  ['\ufdfa', ['too_short']],
  ['\ufdfa'.repeat(7), ['too_short']],
  ['\u33c2\u3371\u337b', ['too_short']],
  ['password', ['common']],
  ['PassWord', ['common']],
  ['password2024!', ['common']],
  ['   dragon   ', ['common']],
  ['gatehouse', ['context']],
  ['gatehouse2024', ['context']],
  ['ada.lovelace@example.org', ['context']],
  ['Zuckerkandl1815', ['context']],
])('%s is weak for %j', async (chosen, weaknesses) => {
  expect(await weaknessesOf(chosen, 8, who)).toEqual(weaknesses);
});

test.each([
  '🙈🙉🙊🐵🐒🦍🦧🐶',
  'a difference engine',
  'aaaaaaaaaaaaaaab',
  '\ufdfa\u33c2\u3371\u337bxyzé',
  'lovelace counts on engines',
  'x'.repeat(256),
])('%s is not weak', async (chosen) => {
  expect(await weaknessesOf(chosen, 8, who)).toEqual([]);
});
