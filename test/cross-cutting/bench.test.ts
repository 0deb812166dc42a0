import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { offer } from '../../bench/generator.ts';
import { optionTypes, readOptions } from '../../bench/options.ts';

const root = path.join(import.meta.dirname, '../..');
const readme = readFileSync(path.join(root, 'bench/README.md'), 'utf8');
/** The rows of the table of options. */
const documented = [...readme.matchAll(/^\| `--(\w+)(?: (\S+))?` \| (.+) \|$/gm)].map(([, name, value]) => ({
  name: name!,
  value,
}));

test('bench/README.md documents exactly the options of npm run bench', () => {
  expect(documented.map(({ name }) => name).sort()).toEqual(Object.keys(optionTypes).sort());
  for (const { name, value } of documented) {
    const { type } = optionTypes[name as keyof typeof optionTypes];
    expect(value !== undefined, name).toBe(type === 'string');
  }
});

test('each documented option has an effect, and an unknown one is refused', () => {
  const usual = readOptions([]);
  for (const { name, value } of documented)
    expect(readOptions([`--${name}`, ...(value ? [value] : [])]), name).not.toEqual(usual);
  expect(readOptions(['--short', '--rounds', '5'])).toMatchObject({ isShort: true, rounds: 5 });
  expect(() => readOptions(['--fast'])).toThrow('--fast');
});

test('each name that --only accepts is measured under that name', () => {
  const source = readFileSync(path.join(root, 'bench/run.ts'), 'utf8');
  const [, list = ''] = /a method, or ([\w, ]+) \|/.exec(readme) ?? [];
  const parts = [...source.matchAll(/isWanted\('(\w+)'\)/g)].map(([, name]) => name);
  expect(list.split(', ').sort()).toEqual(parts.sort());
});

test('a call that is answered immediately has no latency, however rarely it is sent', async () => {
  const { calls, latencies } = await offer(async () => {}, 1, 5, 0.6);
  expect(calls).toBe(3);
  expect(latencies[0]).toBeLessThan(100);
});
