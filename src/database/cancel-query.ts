import pg from 'pg';

/** The options that a pool opens its connections with. Its `password` is not enumerable, so it is copied by name. */
export function connectionOptions({ options }: pg.Pool): pg.ClientConfig {
  return { ...options, password: options.password } as pg.ClientConfig;
}

/**
 * Cancels the running statement of a connection, or ends the connection, over a second connection. Errors are ignored: the
 * statement itself returns or fails.
 */
export async function cancelQuery(
  client: object,
  means: 'pg_cancel_backend' | 'pg_terminate_backend',
  options: pg.ClientConfig & { readonly Client?: typeof pg.Client },
): Promise<void> {
  const { processID } = client as { processID: number };
  const messenger = new (options.Client ?? pg.Client)(options);
  try {
    await messenger.connect();
    await messenger.query(`select ${means}($1)`, [processID]);
  } catch {
  } finally {
    // On a connection that no longer responds, waiting for the end would take for ever.
    void messenger.end().catch(() => {});
  }
}
