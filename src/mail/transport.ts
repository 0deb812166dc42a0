import { BlockList, isIP, isIPv6 } from 'node:net';
import { createTransport } from 'nodemailer';
import { type Delivery, DeliveryFault } from './delivery.ts';

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

/** Sends mails to a mail server, over a few connections that stay open. */
export function smtpDelivery(server: SmtpServer, from: Sender): Delivery {
  const { scheme, host, port, auth } = server;
  const transport = createTransport({
    pool: true,
    maxConnections: 5,
    // The dispatcher retries, while the mail stays in the database.
    maxRequeues: 0,
    host,
    port: port ?? (scheme === 'smtps' ? 465 : 587),
    secure: scheme === 'smtps',
    requireTLS: scheme === 'smtp' && !isLocal(host),
    tls: { minVersion: 'TLSv1.2', ...(isLocal(host) && { rejectUnauthorized: false }) },
    ...(auth && { auth }),
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 30_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  // nodemailer quotes unusual local parts and re-encodes domains. The envelope must have the address exactly as stored,
  // because that is the one the user proved to own.
  transport.use('stream', ({ data, message }, done) => {
    message.getEnvelope = () => ({ from: from.address, to: [(data.to as { address: string }).address] });
    done();
  });
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1);
  return {
    async send({ id, recipient, subject, text, html, createdAt }, signal) {
      const mail = {
        // A copy, because nodemailer modifies it.
        from: { ...from },
        to: { name: '', address: recipient },
        // The same for every attempt, so that mail programs show a mail once that was accepted twice.
        messageId: `<${id}@${domain}>`,
        date: createdAt,
        // Asks for no automatic replies (RFC 3834).
        headers: { 'Auto-Submitted': 'auto-generated' },
        subject,
        text,
        html,
        // When aborted, nodemailer removes the mail from its queue, or closes its connection.
        signal,
      };
      await transport.sendMail(mail).catch((error: unknown) => {
        throw signal.aborted ? new DeliveryFault('TIMEOUT', false, error) : toFault(error);
      });
    },
    close: () => transport.close(),
  };
}

/** 5xx for the sender, the recipient or the text is final. Other failures, such as of the login, may pass. */
function toFault(thrown: unknown): DeliveryFault {
  const { code = 'UNKNOWN', responseCode } = thrown as { code?: string; responseCode?: number };
  const isOfMail = code === 'EENVELOPE' || code === 'EMESSAGE';
  return new DeliveryFault(
    `${responseCode ?? code}`,
    isOfMail && responseCode !== undefined && responseCode >= 500,
    thrown,
  );
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

function isLocal(host: string): boolean {
  if (host === 'localhost') return true;
  return isIP(host) !== 0 && loopback.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}
