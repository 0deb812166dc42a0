import { describe, expect, test } from 'vitest';
import { HashGate } from '../../src/user/hash-gate.ts';

const never = new AbortController().signal;

describe('the hash gate', () => {
  /** Jobs that the test ends. */
  function jobs(gate: HashGate) {
    const running: string[] = [];
    const started: string[] = [];
    const ends = new Map<string, PromiseWithResolvers<void>>();
    let most = 0;
    const submit = (name: string, signal = never) => {
      const end = Promise.withResolvers<void>();
      ends.set(name, end);
      return gate.pass(async () => {
        started.push(name);
        running.push(name);
        most = Math.max(most, running.length);
        await end.promise.finally(() => running.splice(running.indexOf(name), 1));
        return name;
      }, signal);
    };
    return { submit, started, running, ends, most: () => most };
  }
  const tick = () => new Promise((resolve) => setImmediate(resolve));

  test('reports that it is full before any work, and only while it is full', async () => {
    const gate = new HashGate(1, 1);
    const { submit, ends } = jobs(gate);
    const first = submit('first');
    await tick();
    expect(() => gate.requireRoom(), 'one may wait').not.toThrow();
    const second = submit('second');
    expect(() => gate.requireRoom()).toThrow(expect.objectContaining({ reason: 'OVER_CAPACITY' }));
    for (const name of ['first', 'second']) {
      ends.get(name)!.resolve();
      await tick();
    }
    expect(() => gate.requireRoom()).not.toThrow();
    await Promise.all([first, second]);
  });

  test('runs a limited number at a time, in the order of arrival', async () => {
    const { submit, started, running, ends, most } = jobs(new HashGate(2, 10));
    const names = ['a', 'b', 'c', 'd', 'e'];
    const all = names.map((name) => submit(name));
    await tick();
    expect(running).toEqual(['a', 'b']);
    for (const name of names) {
      ends.get(name)!.resolve();
      await tick();
    }
    expect(await Promise.all(all)).toEqual(names);
    expect(started).toEqual(names);
    expect(most()).toBe(2);
  });

  test('refuses at once when the queue is full, with a time to retry after', async () => {
    const { submit, started, ends } = jobs(new HashGate(1, 1));
    const first = submit('running');
    const second = submit('waiting');
    const third = await submit('too many').catch((error: unknown) => error);
    expect(third).toMatchObject({ reason: 'OVER_CAPACITY', options: { retryAfter: 1 } });
    ends.get('running')!.resolve();
    ends.get('waiting')!.resolve();
    expect(await Promise.all([first, second])).toEqual(['running', 'waiting']);
    expect(started).toEqual(['running', 'waiting']);
  });

  test('does not run cancelled calls, and frees their place in the queue', async () => {
    const { submit, started, ends } = jobs(new HashGate(1, 1));
    const caller = new AbortController();
    const first = submit('running');
    const left = submit('left', caller.signal).catch((error: unknown) => error);
    caller.abort(new Error('cancelled'));
    expect(await left).toMatchObject({ message: 'cancelled' });
    const next = submit('next');
    expect(
      await submit('late', AbortSignal.abort(new Error('cancelled before'))).catch((error: unknown) => error),
    ).toMatchObject({ message: 'cancelled before' });
    for (const end of ends.values()) end.resolve();
    expect(await Promise.all([first, next])).toEqual(['running', 'next']);
    expect(started).toEqual(['running', 'next']);
  });

  test('frees the slot of a hash that failed', async () => {
    const gate = new HashGate(1, 0);
    await expect(gate.pass(() => Promise.reject(new Error('out of memory')), never)).rejects.toThrow('out of memory');
    const thrown = () => {
      throw new Error('at once');
    };
    await expect(gate.pass(thrown, never)).rejects.toThrow('at once');
    expect(await gate.pass(async () => 'fine', never)).toBe('fine');
  });
});
