import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject, onTestFinished } from 'vitest';
import { clusterPassword } from './cluster-password.ts';

/** A statement on its way to PostgreSQL. Prepared ones have a name. */
export interface SentStatement {
  readonly text: string;
  readonly name: string;
  /** The values bound to it, as they crossed the wire. */
  readonly values: string;
  /** The number of its connection. */
  readonly connection: number;
}

/** A connection held at a statement: nothing passes in either direction until it is let go. */
export interface Held {
  /** Continues as if it had not been held. */
  letGo(): void;
  /** Cuts the connection on both sides: a reset for the client. */
  reset(): void;
}

interface Trap {
  readonly matches: (sent: SentStatement) => boolean;
  /** Before PostgreSQL receives the statement, or after, when only its response is kept back. */
  readonly when: 'before' | 'after';
  readonly caught: (held: Held) => void;
}

export type DatabaseProxy = Awaited<ReturnType<typeof startProxy>>;

/**
 * A TCP proxy before the PostgreSQL of the tests, which listens only on a Unix socket. It records statements, and can
 * delay, hold back, reset or refuse connections. Closed after the test.
 */
export async function startProxy(socketDir = inject('pgHost')) {
  const links = new Set<Link>();
  const dial = () => connect(`${state.socketDir}/.s.PGSQL.5432`);
  const server = createServer((client) => new Link(client, dial(), state, links));
  const open = Promise.resolve();
  const state: State = { socketDir, withheld: [], delay: 0, open, traps: new Set(), statements: [], parsed: [] };
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  let unblock = () => {};
  const proxy = {
    url: (database: { name: string }) => `postgresql://postgres:${clusterPassword}@127.0.0.1:${port}/${database.name}`,
    /** The statements that were sent, in order. */
    statements: state.statements,
    /** How often a statement of that name was prepared. */
    parsed: (name: string) => state.parsed.filter((each) => each === name).length,
    get connections() {
      return links.size;
    },
    /** Milliseconds added in either direction. */
    set delay(milliseconds: number) {
      state.delay = milliseconds;
    },
    /** Passes nothing on and closes nothing, as a network that drops all packets. */
    silence() {
      const { promise, resolve } = Promise.withResolvers<void>();
      for (const each of [state, ...links]) each.open = promise;
      unblock = resolve;
    },
    speak: () => unblock(),
    /** After a silence: new connections work, the old ones stay silent. */
    forget() {
      state.open = Promise.resolve();
    },
    /** What PostgreSQL sends over the open connections is lost from now on. Statements still reach it. */
    mute() {
      for (const link of links) link.isMute = true;
    },
    /** How many of those connections are still open. */
    get muted() {
      return [...links].filter((link) => link.isMute).length;
    },
    /** Resets all connections. */
    reset() {
      for (const link of links) link.reset();
    },
    /** Takes no new connections, and resets the ones there are. */
    async refuse() {
      const closed = once(server, 'close');
      server.close();
      proxy.reset();
      await closed;
    },
    accept: () => listen(port),
    /** From now on connections lead to another server. The open ones are reset. */
    redirect(to: string) {
      state.socketDir = to;
      proxy.reset();
    },
    /** Parameters that new connections do not report, as behind a pooler. */
    withhold(...parameters: string[]) {
      state.withheld = parameters;
    },
    /** Holds the next connection that sends such a statement (by name, or text), before or after it is carried out. */
    hold(when: Trap['when'], which: string | RegExp | Trap['matches']): Promise<Held> {
      const matches = (sent: SentStatement) => {
        if (typeof which === 'function') return which(sent);
        return typeof which === 'string' ? sent.name === which : which.test(sent.text);
      };
      return new Promise((caught) => state.traps.add({ when, matches, caught }));
    },
  };
  onTestFinished(() => {
    unblock();
    proxy.reset();
    server.close();
  });
  return proxy;
}

/** The protocol's code of a request to cancel what another connection runs. */
const cancelCode = (1234 << 16) | 5678;

interface State {
  socketDir: string;
  withheld: readonly string[];
  delay: number;
  open: Promise<void>;
  readonly traps: Set<Trap>;
  readonly statements: SentStatement[];
  readonly parsed: string[];
}

/** One client's connection and ours on its behalf. */
class Link {
  static #count = 0;
  readonly #number = Link.#count++;
  open: Promise<void>;
  isMute = false;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #state: State;
  readonly #prepared = new Map<string, string>();
  #unread = Buffer.alloc(0);
  #isStarted = false;
  #towardsServer = Promise.resolve();
  #towardsClient = Promise.resolve();
  #answerKept: Buffer | undefined;
  #whenAnswered = () => {};

  constructor(client: Socket, server: Socket, state: State, links: Set<Link>) {
    this.#client = client;
    this.#server = server;
    this.#state = state;
    this.open = state.open;
    links.add(this);
    for (const socket of [client, server]) {
      socket.on('error', () => {});
      socket.once('close', () => {
        client.destroy();
        server.destroy();
        links.delete(this);
      });
    }
    client.on('data', (bytes) => this.#read(bytes as Buffer));
    server.on('data', (bytes) => this.#answer(bytes as Buffer));
    // The last words of a server that goes must not be lost.
    server.on('end', () => this.#towardsClient.then(() => client.end()));
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#server.destroy();
  }

  #read(bytes: Buffer): void {
    const arrived = performance.now();
    this.#unread = Buffer.concat([this.#unread, bytes]);
    for (let message = this.#next(); message; message = this.#next()) {
      const whole = message;
      this.#towardsServer = this.#towardsServer.then(() => this.#forward(whole, arrived));
    }
  }

  /** The next whole message: a type, except in the first, and a length that counts itself. */
  #next(): Buffer | undefined {
    const start = this.#isStarted ? 1 : 0;
    if (this.#unread.length < start + 4) return undefined;
    const size = start + this.#unread.readUInt32BE(start);
    if (this.#unread.length < size) return undefined;
    const message = this.#unread.subarray(0, size);
    this.#unread = this.#unread.subarray(size);
    this.#isStarted = true;
    return message;
  }

  async #forward(message: Buffer, arrived: number): Promise<void> {
    await this.#travel(arrived);
    const sent = this.#recognise(message);
    if (sent) this.#state.statements.push(sent);
    const trap = sent && [...this.#state.traps].find((each) => each.matches(sent));
    if (trap) this.#state.traps.delete(trap);
    if (trap?.when === 'before') await this.#hold(trap);
    if (trap?.when === 'after') this.#keepAnswer(trap);
    if (!this.#server.destroyed) this.#server.write(message);
  }

  #hold(trap: Trap): Promise<void> {
    return new Promise((letGo) => trap.caught({ letGo, reset: () => this.reset() }));
  }

  #keepAnswer(trap: Trap): void {
    this.#answerKept = Buffer.alloc(0);
    this.#whenAnswered = () => {
      this.#whenAnswered = () => {};
      void this.#hold(trap).then(() => {
        this.#client.write(this.#answerKept!);
        this.#answerKept = undefined;
      });
    };
  }

  #answer(sent: Buffer): void {
    if (this.isMute) return;
    const bytes = this.#state.withheld.reduce(rename, sent);
    if (this.#answerKept) {
      this.#answerKept = Buffer.concat([this.#answerKept, bytes]);
      // ReadyForQuery is the last message of every response: a Z and five bytes.
      if (this.#answerKept.at(-6) === 0x5a) this.#whenAnswered();
      return;
    }
    const arrived = performance.now();
    this.#towardsClient = this.#towardsClient.then(async () => {
      await this.#travel(arrived);
      if (!this.#client.destroyed) this.#client.write(bytes);
    });
  }

  async #travel(arrived: number): Promise<void> {
    const left = arrived + this.#state.delay - performance.now();
    if (left > 0) await sleep(left);
    await this.open;
  }

  /** A cancel request, a simple query, or the binding of values to a statement that was parsed before. */
  #recognise(message: Buffer): SentStatement | undefined {
    if (message.length === 16 && message.readInt32BE(4) === cancelCode)
      return { text: 'cancel', name: '', values: '', connection: this.#number };
    const type = String.fromCharCode(message[0]!);
    const body = message.toString('utf8', 5);
    const [first = '', second = ''] = body.split('\0', 2);
    if (type === 'Q') return { text: first, name: '', values: '', connection: this.#number };
    if (type === 'P') {
      this.#prepared.set(first, second);
      this.#state.parsed.push(first);
    }
    if (type === 'B')
      return { text: this.#prepared.get(second) ?? '', name: second, values: body, connection: this.#number };
    return undefined;
  }
}

/** A name that means nothing to a client, of the same length. */
function rename(bytes: Buffer, parameter: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll(parameter, `_${parameter.slice(1)}`), 'latin1');
}
