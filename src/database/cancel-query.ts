import pg from 'pg';

/** What a connection of a pool is opened with. The password is not enumerable there. */
export function connectionOptions({ options }: pg.Pool): pg.ClientConfig {
  return { ...options, password: options.password } as pg.ClientConfig;
}

/**
 * Ends the statement that a connection waits for, or the whole connection, by way of another that is opened for it.
 * Whatever becomes of this, the statement itself will tell.
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
    // Over a connection that has fallen silent this would wait for ever.
    void messenger.end().catch(() => {});
  }
}
