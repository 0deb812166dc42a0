import { Readable } from 'node:stream';
import SMTPConnection, { type Options } from 'nodemailer/lib/smtp-connection';

/** Milliseconds that the server may take. */
export interface SmtpTimeouts {
  readonly connect: number;
  readonly greeting: number;
  /** For the response to a command, such as MAIL FROM. */
  readonly command: number;
  /** To take the text. */
  readonly text: number;
  /** For the response to the end of the text. */
  readonly end: number;
}

/**
 * RFC 5321, section 4.5.3.2. A server may check a mail for minutes before it responds to its end, and a client that gives
 * up earlier sends the mail again although it arrives.
 */
export const rfcTimeouts: SmtpTimeouts = {
  connect: 30_000,
  greeting: 300_000,
  command: 300_000,
  text: 180_000,
  end: 600_000,
};

/** As nodemailer reports errors. */
export interface SmtpError extends Error {
  readonly code?: string;
  readonly command?: string;
  /** The server's response, if the error is one. */
  readonly response?: string;
  readonly responseCode?: number;
}

/** How far the last mail came. */
type Progress = 'envelope' | 'text' | 'end';

/** One connection to a mail server, after its greeting and the login. It sends mails one after the other. */
export class SmtpSession {
  readonly #connection: SMTPConnection;
  readonly #timeouts: SmtpTimeouts;
  #timer: NodeJS.Timeout | undefined;
  #fail: (error: Error) => void = () => {};
  #progress: Progress = 'envelope';

  private constructor(options: Options, timeouts: SmtpTimeouts) {
    const { connect, greeting, command, end } = timeouts;
    this.#timeouts = timeouts;
    this.#connection = new SMTPConnection({
      ...options,
      // The timer of the phase is shorter than each of these.
      connectionTimeout: connect + greeting + 4 * command,
      greetingTimeout: greeting + command,
      socketTimeout: 2 * Math.max(greeting, command, end),
      transactionLog: true,
      logger: { info: this.#onEvent, debug: this.#onEvent },
    });
    this.#connection.on('error', (error) => this.#fail(error));
    this.#connection.on('end', () => this.#fail(faultOf('ECONNECTION', 'the connection was closed')));
  }

  /** Throws SmtpError. `started` receives the session when it begins to connect, so that it can be closed. */
  static async open(
    options: Options,
    auth: { readonly user: string; readonly pass: string } | undefined,
    timeouts: SmtpTimeouts,
    started: (session: SmtpSession) => void,
  ): Promise<SmtpSession> {
    const session = new SmtpSession(options, timeouts);
    started(session);
    try {
      await session.#within(timeouts.connect, (done) => session.#connection.connect(done));
      if (auth && session.#connection.allowsAuth)
        await session.#within(timeouts.command, (done) => session.#connection.login({ ...auth }, done));
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return !this.#connection.destroyed;
  }

  /** How far the last mail came: at `end` its text was sent completely. */
  get progress(): Progress {
    return this.#progress;
  }

  /** Resolves when the server accepted the mail. Throws SmtpError; unless that is a response, the session is closed. */
  async send(from: string, to: string, mail: Buffer): Promise<void> {
    this.#progress = 'envelope';
    const text = this.#read(mail);
    const envelope = { from, to: [to], size: mail.length };
    try {
      await this.#within(this.#timeouts.command, (done) => this.#connection.send(envelope, text, done));
    } catch (error) {
      if (await this.#isReset(error as SmtpError)) throw error;
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#connection.close();
    this.#fail(faultOf('ECONNECTION', 'the connection was closed'));
  }

  quit(): void {
    if (this.isOpen) this.#connection.quit();
  }

  /** Whether the server refused the mail and takes another one. */
  async #isReset({ responseCode }: SmtpError): Promise<boolean> {
    if (!responseCode || responseCode === 421 || !this.isOpen) return false;
    const reset = this.#within(this.#timeouts.command, (done) => this.#connection.reset(done));
    return reset.then(
      () => true,
      () => false,
    );
  }

  /** nodemailer reads the text when the server has accepted the envelope. */
  #read(mail: Buffer): Readable {
    const text = new Readable({
      read: () => {
        this.#enter('text', this.#timeouts.text);
        text.push(mail);
        text.push(null);
      },
    });
    text.once('end', () => this.#enter('end', this.#timeouts.end));
    return text;
  }

  #enter(progress: Progress, patience: number): void {
    this.#progress = progress;
    this.#arm(patience);
  }

  #within(patience: number, start: (done: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error | null): void => {
        clearTimeout(this.#timer);
        this.#fail = () => {};
        if (error) reject(error);
        else resolve();
      };
      this.#fail = settle;
      this.#arm(patience);
      start(settle);
    });
  }

  #arm(patience: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#fail(faultOf('ETIMEDOUT', 'the server did not respond in time'));
      this.close();
    }, patience);
  }

  /** nodemailer logs the connection and each response: each begins the next phase. */
  readonly #onEvent = (event: { tnx?: string; remotePort?: number } | undefined): void => {
    if (this.#progress !== 'envelope') return;
    if (event?.tnx === 'network' && event.remotePort) this.#arm(this.#timeouts.greeting);
    if (event?.tnx === 'server') this.#arm(this.#timeouts.command);
  };
}

function faultOf(code: string, message: string): SmtpError {
  return Object.assign(new Error(message), { code });
}
