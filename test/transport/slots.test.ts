import { expect, test } from 'vitest';
import { Slots } from '../../src/slots.ts';
import { growthPerObject } from '../support/old-generation.ts';

test('an item is visited until its slot is emptied, and a later one has that slot', () => {
  const slots = new Slots<{ readonly name: string }>();
  const ada = slots.add({ name: 'ada' });
  slots.add({ name: 'bob' });
  slots.remove(ada);
  expect(slots.size).toBe(1);
  expect(slots.add({ name: 'grace' })).toBe(ada);
  const names: string[] = [];
  slots.forEach(({ name }) => {
    names.push(name);
  });
  expect(names.sort()).toEqual(['bob', 'grace']);
});

test('items that come and go leave nothing in the old generation, where a Set leaves most of them', () => {
  const slots = new Slots<object>();
  const taken = Array.from({ length: 32 }, () => slots.add({}));
  const perSlot = growthPerObject((object) => {
    slots.remove(taken.shift()!);
    taken.push(slots.add(object));
  });
  const set = new Set<object>(Array.from({ length: 32 }, () => ({})));
  const perEntry = growthPerObject((object) => {
    set.delete(set.values().next().value!);
    set.add(object);
  });
  expect(perSlot).toBeLessThan(50);
  expect(perEntry).toBeGreaterThan(300);
});
