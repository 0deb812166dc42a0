import type { Connections } from './connections.ts';

/**
 * Cancels the running statement of a connection, or ends the connection, over a second connection. Errors are ignored: the
 * statement itself returns or fails.
 */
export async function cancelQuery(
  client: object,
  means: 'pg_cancel_backend' | 'pg_terminate_backend',
  connections: Connections,
): Promise<void> {
  const { processID } = client as { processID: number };
  try {
    const messenger = await connections.open();
    await messenger.query(`select ${means}($1)`, [processID]).catch(() => {});
    // On a connection that no longer responds, waiting for the end would take for ever.
    void messenger.end().catch(() => {});
  } catch {}
}
