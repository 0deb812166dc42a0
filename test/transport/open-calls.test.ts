import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import { OpenCalls } from '../../src/rpc/open-calls.ts';

function openThree() {
  const shutdown = new AbortController();
  const calls = new OpenCalls(shutdown.signal);
  const [ended, open, late] = [new AbortController(), new AbortController(), new AbortController()];
  const slot = calls.add(ended);
  calls.add(open);
  calls.remove(slot);
  return { shutdown, calls, ended, open, late };
}

test('a shutdown aborts the calls that are open, and those that begin after it', () => {
  const { shutdown, calls, ended, open, late } = openThree();
  const reason = new Refusal('SHUTTING_DOWN');
  shutdown.abort(reason);
  calls.add(late);
  expect(open.signal.reason).toBe(reason);
  expect(late.signal.reason).toBe(reason);
  expect(ended.signal.aborted).toBe(false);
});

test('the shutdown signal has one listener for all calls', () => {
  const { shutdown } = openThree();
  expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(1);
});
