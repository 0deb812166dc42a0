import type { Route } from './route.ts';
import { routes } from './routes.ts';

/** A route for a path, with the values of the parameters in it. */
export interface Match {
  readonly route: Route;
  readonly path: Readonly<Record<string, string>>;
}

/** The routes whose paths have no parameter, by path. */
const plain = new Map<string, Match[]>();
/** The others, with the parts of their paths, by the number of parts. */
const withParameters = new Map<number, { readonly route: Route; readonly names: readonly string[] }[]>();

for (const route of routes) {
  const names = route.path.split('/');
  if (route.path.includes(':'))
    withParameters.set(names.length, [...(withParameters.get(names.length) ?? []), { route, names }]);
  else plain.set(route.path, [...(plain.get(route.path) ?? []), { route, path: {} }]);
}

/** The routes for a path, of every method. A path without parameters comes first: `/factors/recovery-codes` is no factor. */
export function matchesOf(path: string): Match[] {
  const parts = path.split('/');
  const others = (withParameters.get(parts.length) ?? []).flatMap(({ route, names }): Match[] => {
    if (!names.every((name, n) => (name.startsWith(':') ? parts[n] : name === parts[n]))) return [];
    const values = names.flatMap((name, n) => (name.startsWith(':') ? [[name.slice(1), parts[n]!]] : []));
    return [{ route, path: Object.fromEntries(values) }];
  });
  return [...(plain.get(path) ?? []), ...others];
}
