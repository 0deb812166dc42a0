/** A number with its noun: "1 user", "2 users". `many` is for nouns whose plural is not the singular with an s. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
