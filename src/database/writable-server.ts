import type pg from 'pg';

/** The server is a standby, or its default is read-only. */
class ReadOnlyServer extends Error {
  override name = 'ReadOnlyServer';
  readonly code = '25006';

  constructor() {
    super('the database server is a standby or read-only');
  }
}

// PostgreSQL 14 and newer report both when a connection opens, and again when they change.
const readOnlyParameters: readonly string[] = ['in_hot_standby', 'default_transaction_read_only'];

interface ParameterStatus {
  readonly parameterName: string;
  readonly parameterValue: string;
}

/**
 * Whether the server of a connection accepts writes. A standby would return rows of the past, and sessions that have been
 * revoked since would be live.
 */
export class WritableServer {
  readonly #reported = new Map<string, boolean>();
  #isAccepted = false;

  /** `leave` is called when the server of an accepted connection becomes read-only. */
  constructor(connection: NodeJS.EventEmitter, leave: () => void) {
    connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (!readOnlyParameters.includes(parameterName)) return;
      this.#reported.set(parameterName, parameterValue === 'on');
      if (this.#isAccepted && parameterValue === 'on') leave();
    });
  }

  /** Throws unless the server of the open connection accepts writes. */
  async accept(query: (text: string) => Promise<pg.QueryResult>): Promise<void> {
    if (await this.#isReadOnly(query)) throw new ReadOnlyServer();
    this.#isAccepted = true;
  }

  /** A pooler between the server and us may withhold a parameter. */
  async #isReadOnly(query: (text: string) => Promise<pg.QueryResult>): Promise<boolean> {
    const reported = readOnlyParameters.map((name) => this.#reported.get(name));
    if (!reported.includes(undefined)) return reported.includes(true);
    const { rows } = await query('show transaction_read_only');
    return rows[0]?.transaction_read_only !== 'off';
  }
}
