import { type ContextValues, createContextKey, type HandlerContext } from '@connectrpc/connect';

/** What is read while a call is authenticated, for the method of the call. */
interface KeptForCall<Found> {
  keep(values: ContextValues, found: Found | undefined): void;
  /** Throws an error if nothing was kept: the caller of the method has no access token. */
  of(context: Pick<HandlerContext, 'values'>): Found;
}

export function keptForCall<Found>(name: string): KeptForCall<Found> {
  const key = createContextKey<Found | undefined>(undefined, { description: name });
  return {
    keep: (values, found) => void values.set(key, found),
    of: ({ values }) => {
      const found = values.get(key);
      if (!found) throw new Error(`${name} was not read for this call`);
      return found;
    },
  };
}
