import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type Cluster, startCluster } from '../../test/support/cluster.ts';

/** A PostgreSQL of its own, whose commits are durable. Its address stays the same after a restart. */
export class SoakDatabase {
  readonly cluster: Cluster;
  readonly name: string;

  private constructor(cluster: Cluster, name: string) {
    this.cluster = cluster;
    this.name = name;
  }

  static async start(): Promise<SoakDatabase> {
    const cluster = await startCluster();
    return new SoakDatabase(cluster, await cluster.createDatabase());
  }

  query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    return this.cluster.query<Row & Record<string, unknown>>(this.name, text, values);
  }

  /** Ends it without a checkpoint, as `pg_ctl stop -m immediate` does, or with SIGKILL, and starts it again. */
  async crash(signal: 'SIGQUIT' | 'SIGKILL'): Promise<void> {
    if (signal === 'SIGKILL') await this.cluster.kill();
    else {
      process.kill(this.cluster.pid, signal);
      await this.cluster.stop();
    }
    await this.cluster.start();
  }

  async restart(): Promise<void> {
    await this.cluster.stop();
    await this.cluster.start();
  }

  async openLink(): Promise<DatabaseLink> {
    const link = new DatabaseLink(`${this.cluster.socketDir}/.s.PGSQL.5432`);
    await link.listen();
    return link;
  }

  /** For a replica behind that link. */
  urlOver(link: DatabaseLink): string {
    const url = new URL(this.cluster.url(this.name).replace(/@.*\//, '@localhost/'));
    url.hostname = '127.0.0.1';
    url.port = `${link.port}`;
    return url.href;
  }
}

/** A TCP proxy before PostgreSQL, whose connections can be cut. */
export class DatabaseLink {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();

  constructor(socket: string) {
    this.#server = createServer((client) => {
      const server = connect(socket);
      this.#clients.add(client);
      client.once('close', () => this.#clients.delete(client));
      pump(client, server);
      pump(server, client);
    });
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets all connections. */
  cut(): void {
    for (const client of this.#clients) client.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}

function pump(from: Socket, to: Socket): void {
  from.on('error', () => {});
  from.once('close', () => to.destroy());
  from.pipe(to);
}
