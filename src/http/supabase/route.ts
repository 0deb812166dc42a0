import type { Answer, Asked } from './asked.ts';
import type { RouteName } from './error-table.ts';

/** A path and a method of /auth/v1. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below /auth/v1. A part that begins with a colon is a parameter. */
  readonly path: string;
  /** For the table of errors. */
  readonly name: RouteName;
  /** The methods that it calls, as in LIMITS. */
  readonly calls: readonly string[];
  readonly serve: (asked: Asked) => Promise<Answer>;
  /** Whether browsers and probes, which send no `apikey`, may call it. */
  readonly isOpen?: true;
  /** Whether the route is the one for a request, among those with the same path and method. */
  readonly fits?: (asked: Pick<Asked, 'query' | 'body'>) => boolean;
}
