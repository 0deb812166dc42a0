import { BlockList, isIP, isIPv6 } from 'node:net';
import MailComposer from 'nodemailer/lib/mail-composer';
import type { Options } from 'nodemailer/lib/smtp-connection';
import { type Delivery, DeliveryFault, type OutgoingMail } from './delivery.ts';
import { rfcTimeouts, type SmtpError, SmtpSession, type SmtpTimeouts } from './smtp-session.ts';

export interface SmtpServer {
  readonly scheme: 'smtp' | 'smtps' | 'smtp-insecure';
  readonly host: string;
  readonly port: number | undefined;
  readonly auth: { readonly user: string; readonly pass: string } | undefined;
}

export interface Sender {
  readonly name: string;
  readonly address: string;
}

/**
 * Milliseconds that a connection is kept for the next mail. Servers and firewalls drop idle connections, and a connection
 * that a firewall has dropped looks open.
 */
const idleTime = 5000;

/** Sends mails to a mail server, each over a connection of its own, which the next mail uses again. */
export function smtpDelivery(server: SmtpServer, from: Sender, timeouts: SmtpTimeouts = rfcTimeouts): Delivery {
  return new SmtpDelivery(server, from, timeouts);
}

class SmtpDelivery implements Delivery {
  readonly #options: Options;
  readonly #auth: SmtpServer['auth'];
  readonly #from: Sender;
  readonly #timeouts: SmtpTimeouts;
  readonly #sessions = new Set<SmtpSession>();
  readonly #idle = new Map<SmtpSession, NodeJS.Timeout>();
  #isClosed = false;

  constructor({ scheme, host, port, auth }: SmtpServer, from: Sender, timeouts: SmtpTimeouts) {
    this.#options = {
      host,
      port: port ?? (scheme === 'smtps' ? 465 : 587),
      secure: scheme === 'smtps',
      requireTLS: scheme === 'smtp' && !isLocal(host),
      tls: { minVersion: 'TLSv1.2', ...(isLocal(host) && { rejectUnauthorized: false }) },
    };
    this.#auth = auth;
    this.#from = from;
    this.#timeouts = timeouts;
  }

  async send(mail: OutgoingMail): Promise<void> {
    const text = await compose(mail, this.#from);
    const reused = this.#takeIdle();
    if (reused && (await this.#hasSent(reused, mail, text))) return;
    await this.#sendOver(await this.#open(), mail, text);
  }

  close(): void {
    this.#isClosed = true;
    for (const session of this.#sessions) session.close();
  }

  /** False when the connection failed before the text was sent: servers close connections that are idle. */
  async #hasSent(session: SmtpSession, mail: OutgoingMail, text: Buffer): Promise<boolean> {
    try {
      await this.#sendOver(session, mail, text);
      return true;
    } catch (error) {
      const isRefused = (error as DeliveryFault).verdict === 'final';
      if (isRefused || session.isOpen || session.progress !== 'envelope' || this.#isClosed) throw error;
      return false;
    }
  }

  async #sendOver(session: SmtpSession, { recipient }: OutgoingMail, text: Buffer): Promise<void> {
    try {
      // The envelope has the address exactly as stored: that is the one the user proved to own. nodemailer would quote
      // unusual local parts and encode domains again.
      await session.send(this.#from.address, recipient, text);
    } catch (error) {
      throw toFault(error as SmtpError, session.progress === 'end');
    } finally {
      this.#keep(session);
    }
  }

  async #open(): Promise<SmtpSession> {
    let opening: SmtpSession | undefined;
    try {
      if (this.#isClosed) throw Object.assign(new Error('closed'), { code: 'ECONNECTION' });
      return await SmtpSession.open(this.#options, this.#auth, this.#timeouts, (session) => {
        opening = session;
        this.#sessions.add(session);
      });
    } catch (error) {
      if (opening) this.#sessions.delete(opening);
      throw toFault(error as SmtpError, false);
    }
  }

  #takeIdle(): SmtpSession | undefined {
    for (const [session, timer] of [...this.#idle].toReversed()) {
      clearTimeout(timer);
      this.#idle.delete(session);
      if (session.isOpen) return session;
      this.#sessions.delete(session);
    }
    return undefined;
  }

  #keep(session: SmtpSession): void {
    if (!session.isOpen || this.#isClosed) {
      session.close();
      this.#sessions.delete(session);
      return;
    }
    const leave = (): void => {
      this.#idle.delete(session);
      this.#sessions.delete(session);
      session.quit();
    };
    this.#idle.set(session, setTimeout(leave, idleTime).unref());
  }
}

function compose(
  { id, recipient, subject, text, html, createdAt, senderName }: OutgoingMail,
  from: Sender,
): Promise<Buffer> {
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1);
  const composer = new MailComposer({
    // A copy, because nodemailer modifies it.
    from: { ...from, ...(senderName && { name: senderName }) },
    to: { name: '', address: recipient },
    // The same for every attempt, so that mail programs show a mail once that was accepted twice.
    messageId: `<${id}@${domain}>`,
    date: createdAt,
    // Asks for no automatic replies (RFC 3834).
    headers: { 'Auto-Submitted': 'auto-generated' },
    subject,
    text,
    html,
    // Quoted-printable would break long links into lines, and mail programs that join them wrongly exist.
    textEncoding: 'base64',
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return composer.compile().build();
}

/** Enhanced status codes that blame the sender's address or the server's policy (RFC 3463). */
const aboutUs = /^\d{3}[ -]5\.(1\.[78]|7\.\d+)\b/;
/** Status codes that ask for a login or for TLS. */
const aboutLogin = [530, 534, 535, 538];

/**
 * 5xx for the recipient or the text is final. 5xx for the sender or the login is for the operator to mend, and the mail
 * waits for it. Many servers return a refusal of the sender at RCPT TO, where the enhanced status code says so.
 */
function toFault(error: SmtpError, hasText: boolean): DeliveryFault {
  const { code = 'UNKNOWN', command, response = '', responseCode } = error;
  if (!responseCode) return new DeliveryFault(code, hasText ? 'maybe sent' : 'not sent', error);
  const isOfMail = (code === 'EENVELOPE' && command !== 'MAIL FROM') || code === 'EMESSAGE';
  const isOurs = aboutLogin.includes(responseCode) || (!hasText && aboutUs.test(response));
  return new DeliveryFault(`${responseCode}`, isOfMail && responseCode >= 500 && !isOurs ? 'final' : 'not sent', error);
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

function isLocal(host: string): boolean {
  if (host === 'localhost') return true;
  return isIP(host) !== 0 && loopback.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}
