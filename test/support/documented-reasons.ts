import { readFileSync } from 'node:fs';

const everyMethod = 'Errors of every method';

/** The reasons that docs/api.md lists, by the heading above them: a method, or what holds for every method. */
const byHeading = new Map(
  readFileSync('docs/api.md', 'utf8')
    .split(/^##+ /m)
    .map((section): [string, string[]] => {
      const [heading = ''] = section.split('\n', 1);
      return [heading, [...section.matchAll(/\[([A-Z_0-9]+)\]\(errors\.md#/g)].map(([, reason]) => reason!)];
    }),
);

/** The reasons that docs/api.md gives for a method, named as `AuthService.SignIn`. */
export function reasonsOf(method: string): ReadonlySet<string> {
  const own = byHeading.get(method);
  if (!own) throw new Error(`docs/api.md has no section ${method}`);
  return new Set([...own, ...byHeading.get(everyMethod)!]);
}
