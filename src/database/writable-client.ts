import pg from 'pg';

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
 * A client that connects only to a server that accepts writes. A standby would return rows of the past, and sessions that
 * have been revoked since would be live. The connection ends when its server becomes read-only.
 */
export class WritableClient extends pg.Client {
  readonly #reported = new Map<string, boolean>();
  #isAccepted = false;

  constructor(config?: pg.ClientConfig) {
    super(config);
    const { connection } = this as unknown as { connection: NodeJS.EventEmitter };
    connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (!readOnlyParameters.includes(parameterName)) return;
      this.#reported.set(parameterName, parameterValue === 'on');
      if (this.#isAccepted && parameterValue === 'on') this.#leave();
    });
  }

  override connect(): Promise<pg.Client>;
  override connect(callback: ((err: Error) => void) | ((err: null, client: pg.Client) => void)): void;
  // biome-ignore lint/suspicious/noExplicitAny: pg's two overloads in one
  override connect(callback?: (error: any, client?: any) => void): any {
    const connecting = this.#connectToWritable();
    if (!callback) return connecting;
    connecting.then((client) => callback(null, client), callback);
  }

  async #connectToWritable(): Promise<pg.Client> {
    await super.connect();
    if (await this.#isReadOnly()) {
      this.#leave();
      throw new ReadOnlyServer();
    }
    this.#isAccepted = true;
    return this;
  }

  /** A pooler between the server and us may withhold a parameter. */
  async #isReadOnly(): Promise<boolean> {
    const reported = readOnlyParameters.map((name) => this.#reported.get(name));
    if (!reported.includes(undefined)) return reported.includes(true);
    const { rows } = await this.query<{ transaction_read_only: string }>('show transaction_read_only');
    return rows[0]?.transaction_read_only !== 'off';
  }

  #leave(): void {
    void this.end().catch(() => {});
  }
}
