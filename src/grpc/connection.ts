/**
 * Computes a value once per connection of a grpc-js server, for values that all calls of a connection share. Converting
 * a certificate takes Node 0.14 ms, and the address of the peer is read through a proxy object.
 */
export function perConnection<Call extends object, T>(compute: (call: Call) => T): (call: Call) => T {
  const known = new WeakMap<object, { readonly found: T }>();
  return (call) => {
    const connection = connectionOf(call);
    const before = connection && known.get(connection);
    if (before) return before.found;
    const found = compute(call);
    if (connection) known.set(connection, { found });
    return found;
  };
}

/** The HTTP/2 session of a call. It is private to grpc-js: a version that moves it makes calls slower and no more. */
function connectionOf(call: object): object | undefined {
  let inner = (call as { call?: Inner }).call;
  while (inner?.nextCall) inner = inner.nextCall;
  return inner?.stream?.session;
}

interface Inner {
  readonly nextCall?: Inner;
  readonly stream?: { readonly session?: object };
}
