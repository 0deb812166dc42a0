import type { Interceptor } from '@connectrpc/connect';
import { kProject, kProjectName } from './context.ts';

/** Returns the id of a project by its slug, its id or its publishable key. Throws PROJECT_NOT_FOUND. */
export type FindProject = (name: string | undefined) => string | Promise<string>;

/**
 * Finds the project that a call names by the `gatehouse-project` header, or an HTTP interface names for it. The rate limits
 * of the project hold from here on. The credential decides later whether the call belongs to it.
 */
export function selectProject(find: FindProject): Interceptor {
  return (next) => async (req) => {
    const { contextValues, header } = req;
    const name = header.get('gatehouse-project') ?? contextValues.get(kProjectName);
    contextValues.set(kProjectName, name);
    // Hot: a known project costs no turn of the microtask queue.
    const found = find(name);
    contextValues.set(kProject, typeof found === 'string' ? found : await found);
    return next(req);
  };
}
