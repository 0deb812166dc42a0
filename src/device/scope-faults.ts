import type { FieldViolation } from '../errors.ts';

/** The scopes that no API key may have. */
export function scopeFaults(keyScopes: ReadonlySet<string>, scopes: readonly string[]): FieldViolation[] {
  return scopes.flatMap((scope, index) =>
    keyScopes.has(scope) ? [] : [{ field: `scopes[${index}]`, description: 'names no method that admits API keys' }],
  );
}
