import type { IncomingMessage } from 'node:http';
import { publishablePrefix } from '../../text/publishable-key.ts';

/** A project in the state of a sign-in with a provider, whose callback has no header. */
const inState = /\.([0-9a-f-]{36})$/;

/**
 * The project that a request names: by the publishable key of a project as its `apikey`, or by the state of a sign-in with a
 * provider, which is in the body if the provider posts it (`posted`). Links have the key as a parameter. Undefined for the
 * default project.
 */
export function namedProject({ headers }: IncomingMessage, query: URLSearchParams, posted = ''): string | undefined {
  const keys = [[headers.apikey].flat()[0], query.get('apikey')];
  const key = keys.find((each) => each?.startsWith(publishablePrefix));
  return key ?? inState.exec(query.get('state') || posted)?.[1];
}
