import { setImmediate as turn } from 'node:timers/promises';
import { create, type DescMessage } from '@bufbuild/protobuf';
import type { Validator } from '@bufbuild/protovalidate';

let opening: Promise<Validator> | undefined;

/**
 * protovalidate, which decides about what comparisons cannot show. It is imported once: with CEL and RE2 it consists of a
 * hundred modules.
 */
export function openContractRules(): Promise<Validator> {
  opening ??= import('@bufbuild/protovalidate').then(({ createValidator }) => createValidator({ regexMatch }));
  return opening;
}

/**
 * Compiles the rules of these requests, one in each turn of the event loop, so that the first call that needs them does not
 * wait for it.
 */
export async function prepareContractRules(requests: readonly DescMessage[], signal: AbortSignal): Promise<void> {
  await turn();
  const validator = await openContractRules();
  for (const each of requests) {
    await turn();
    if (signal.aborted) return;
    validator.validate(each, create(each));
  }
}

const patterns = new Map<string, RegExp>();

/**
 * Patterns of the contract run in V8: for its first class of characters RE2 sorts all of Unicode, which takes a tenth of a
 * second. A test compares the two for each pattern, and none of them backtracks.
 */
export function regexMatch(pattern: string, text: string): boolean {
  const known = patterns.get(pattern) ?? new RegExp(pattern, 'u');
  patterns.set(pattern, known);
  return known.test(text);
}
