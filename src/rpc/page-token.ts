import { createHash } from 'node:crypto';
import { Refusal } from '../errors.ts';

/**
 * Where the next page of a list begins, bound to what the list was asked for: with another filter it would lead to a
 * place that means nothing there. What it says is no secret, and a made up one leads nowhere the caller could not go.
 */
export function writePageToken(filter: readonly unknown[], position: readonly string[]): string {
  return Buffer.from(JSON.stringify([digestOf(filter), ...position])).toString('base64url');
}

/** Throws PAGE_TOKEN_INVALID unless it was written for this filter, and each part of the position fits its pattern. */
export function readPageToken(
  token: string,
  filter: readonly unknown[],
  patterns: readonly Pick<RegExp, 'test'>[],
): string[] {
  const [digest, ...position] = parse(token);
  const fits = position.length === patterns.length && patterns.every((each, index) => each.test(position[index]!));
  if (digest !== digestOf(filter) || !fits) throw new Refusal('PAGE_TOKEN_INVALID');
  return position;
}

function parse(token: string): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    return Array.isArray(parts) && parts.every((each) => typeof each === 'string') ? parts : [];
  } catch {
    return [];
  }
}

function digestOf(filter: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(filter)).digest('base64url').slice(0, 11);
}

export const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
