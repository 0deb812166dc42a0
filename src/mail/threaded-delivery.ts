import { Worker } from 'node:worker_threads';
import { type Delivery, DeliveryFault, type OutgoingMail } from './delivery.ts';
import type { EndOfAttempt, FromThread, ThreadSettings, ToThread } from './thread-messages.ts';
import type { Sender, SmtpServer } from './transport.ts';

const file = new URL('./smtp-thread.ts', import.meta.url);

/**
 * Sends mails to a mail server from a thread of its own: composing a mail and the dialogue with the server take most of a
 * millisecond, in which calls would wait. The thread starts with the first mail, and anew after it has failed.
 */
export function threadedDelivery(server: SmtpServer, from: Sender): Delivery {
  return new ThreadedDelivery({ server, from });
}

class ThreadedDelivery implements Delivery {
  readonly #settings: ThreadSettings;
  #thread: SmtpThread | undefined;
  #isClosed = false;

  constructor(settings: ThreadSettings) {
    this.#settings = settings;
  }

  send(mail: OutgoingMail): Promise<void> {
    if (this.#isClosed) return Promise.reject(new DeliveryFault('ECONNECTION', 'not sent'));
    if (!this.#thread || this.#thread.hasEnded) this.#thread = new SmtpThread(this.#settings);
    return this.#thread.send(mail);
  }

  close(): void {
    this.#isClosed = true;
    this.#thread?.close();
  }
}

class SmtpThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PromiseWithResolvers<void>>();
  #sent = 0;
  #hasStarted = false;
  #fault: DeliveryFault | undefined;

  constructor(settings: ThreadSettings) {
    // Flags of this process, such as a profiler's, are not for the thread.
    this.#worker = new Worker(file, { workerData: settings, execArgv: [], name: 'mail' });
    this.#worker.on('message', (response: FromThread) => this.#receive(response));
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', () => this.#end(undefined));
    // Last: a listener of messages keeps the process alive again.
    this.#worker.unref();
  }

  get hasEnded(): boolean {
    return this.#fault !== undefined;
  }

  send(mail: OutgoingMail): Promise<void> {
    const n = this.#sent++;
    const pending = Promise.withResolvers<void>();
    this.#pending.set(n, pending);
    this.#post({ kind: 'send', n, mail });
    return pending.promise;
  }

  /** Ends the attempts that are under way, and then the thread. */
  close(): void {
    this.#post({ kind: 'close' });
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromThread): void {
    if (message === 'started') this.#hasStarted = true;
    else this.#settle(message);
  }

  #settle({ n, fault }: EndOfAttempt): void {
    const pending = this.#pending.get(n);
    this.#pending.delete(n);
    if (fault) pending?.reject(new DeliveryFault(fault.code, fault.verdict));
    else pending?.resolve();
  }

  /** Nobody knows how far the mails under way had come, so the server may have accepted each, unless the thread never started. */
  #end(cause: unknown): void {
    const verdict = this.#hasStarted ? 'maybe sent' : 'not sent';
    this.#fault ??= new DeliveryFault('MAIL_THREAD_ENDED', verdict, cause);
    for (const pending of this.#pending.values()) pending.reject(this.#fault);
    this.#pending.clear();
  }
}
