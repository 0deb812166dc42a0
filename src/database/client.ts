import type { Socket } from 'node:net';
import pg from 'pg';
import type { Attempt } from './connection-attempts.ts';
import type { ConnectionTarget } from './connection-url.ts';
import { WritableServer } from './writable-server.ts';

// biome-ignore lint/suspicious/noExplicitAny: pg's callback receives an error, or null and the client.
type Connected = (...result: any[]) => void;

export interface ClientOptions {
  readonly target: ConnectionTarget;
  readonly attempt: Attempt;
  /** Settings of the session, by their names. */
  readonly settings: Readonly<Record<string, string | number>>;
  /** How they are made: with the startup message, which most poolers refuse, or by SET. */
  readonly settingsBy: 'startup' | 'set';
}

/** The parts of pg's client that its types leave out. */
interface Internals {
  readonly connection: pg.Connection & { readonly stream: Socket };
  readonly connectionParameters: { readonly user: string; readonly database: string };
}

/** A connection to one host of the database, opened as the connection URL says. */
export class DatabaseClient extends pg.Client {
  readonly attempt: Attempt;
  readonly #options: ClientOptions;
  readonly #server: WritableServer;
  #remoteAddress: string | undefined;

  constructor(config: pg.ClientConfig, all: ClientOptions) {
    const { target, attempt } = all;
    const { user, password, database, options, channelBinding } = target;
    super({
      ...config,
      host: attempt.host,
      port: attempt.port,
      ssl: attempt.tls ?? false,
      user,
      password,
      database,
      options,
      keepAlive: false,
      enableChannelBinding: attempt.tls !== undefined && channelBinding !== 'disable',
    } as pg.ClientConfig);
    this.attempt = attempt;
    this.#options = all;
    if (channelBinding === 'require') this.#requireChannelBinding();
    this.#server = new WritableServer(internals(this).connection, () => this.discard());
    internals(this).connection.once('connect', () => this.#prepareSocket());
  }

  /** The address that the name of the host stood for: a cancel request must reach the same server. */
  get remoteAddress(): string | undefined {
    return this.#remoteAddress;
  }

  get stream(): Socket {
    return internals(this).connection.stream;
  }

  /** Closes the connection at once. A pool removes it instead of giving it out again. */
  discard(): void {
    void this.end().catch(() => {});
    this.stream.destroy();
  }

  /** Part of pg: what the startup message contains. Poolers know these parameters and keep them for each client. */
  getStartupConf(): Record<string, string> {
    const { user, database } = internals(this).connectionParameters;
    const { applicationName, options } = this.#options.target;
    const { settings, settingsBy } = this.#options;
    // A database with other defaults would return dates that pg cannot read.
    const formats = { DateStyle: 'ISO, MDY', TimeZone: 'UTC' };
    return {
      ...{ user, database, application_name: applicationName },
      ...formats,
      ...(options && { options }),
      ...(settingsBy === 'startup' && asTexts(settings)),
    };
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg's connect has two overloads, with a callback and with a promise.
  override connect(callback?: Connected): any {
    const connected = this.#connect();
    if (!callback) return connected;
    connected.then(() => callback(null), callback);
  }

  async #connect(): Promise<this> {
    await super.connect();
    try {
      const { settings, settingsBy } = this.#options;
      if (settingsBy === 'set') await super.query(setAll(settings));
      await this.#server.accept((text) => super.query(text));
    } catch (error) {
      this.discard();
      throw error;
    }
    return this;
  }

  #prepareSocket(): void {
    this.#remoteAddress = this.stream.remoteAddress;
    const { enabled, idle, interval, count } = this.#options.target.keepAlive;
    // Node before 24.19 ignores the last two.
    if (!this.attempt.host.startsWith('/')) this.stream.setKeepAlive(enabled, idle * 1000, interval * 1000, count);
  }

  /** Attack: a server in the middle, whose certificate is not checked, asks for the password in another way. */
  #requireChannelBinding(): void {
    const { connection } = internals(this);
    let isBound = false;
    const refuse = (): void => {
      connection.emit('error', new Error('the server does not offer channel binding (channel_binding=require)'));
      this.stream.destroy();
    };
    connection.prependListener('authenticationSASL', ({ mechanisms }: { mechanisms: readonly string[] }) => {
      isBound = mechanisms.includes('SCRAM-SHA-256-PLUS');
      if (!isBound) refuse();
    });
    connection.prependListener('authenticationOk', () => isBound || refuse());
    for (const other of ['authenticationCleartextPassword', 'authenticationMD5Password'])
      connection.prependListener(other, refuse);
  }
}

function asTexts(settings: ClientOptions['settings']): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, `${value}`]));
}

function setAll(settings: ClientOptions['settings']): string {
  return Object.entries(settings)
    .map(([name, value]) => `set ${name} = ${value}`)
    .join('; ');
}

function internals(client: pg.Client): Internals {
  return client as unknown as Internals;
}
