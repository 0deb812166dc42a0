// Variables of other programs that look like a misspelt one of ours.
const others = new Set(['HTTP_HOST', 'HTTPS_PORT', 'GRPC_HOST', 'SMTP_PORT', 'FTP_PORT', 'TCP_PORT']);

/** The known name that `name` probably means. Undefined when it is known itself, or similar to none. */
export function findClosestName(name: string, known: readonly string[]): string | undefined {
  // Attack: other characters in a name could forge a line of the log.
  if (known.includes(name) || others.has(name) || !/^[\w.-]{4,64}$/.test(name)) return undefined;
  const written = name.toUpperCase();
  return [0, 1, 2]
    .map((edits) => known.find((other) => isWithin(allowedEdits(other, edits), written, other)))
    .find(Boolean);
}

// In a short name two edits make a different word.
function allowedEdits(name: string, edits: number): number {
  return name.length < 8 ? Math.min(edits, 1) : edits;
}

/** Whether `edits` insertions, deletions, substitutions and swaps of neighbours turn `a` into `b`. */
export function isWithin(edits: number, a: string, b: string): boolean {
  if (a === b || edits === 0 || Math.abs(a.length - b.length) > edits) return a === b;
  if (a[0] === b[0]) return isWithin(edits, a.slice(1), b.slice(1));
  const swapped = a[0] === b[1] && a[1] === b[0];
  return (
    isWithin(edits - 1, a.slice(1), b) ||
    isWithin(edits - 1, a, b.slice(1)) ||
    isWithin(edits - 1, a.slice(1), b.slice(1)) ||
    (swapped && isWithin(edits - 1, a.slice(2), b.slice(2)))
  );
}
