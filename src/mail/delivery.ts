/** A rendered mail. */
export interface OutgoingMail {
  readonly id: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly createdAt: Date;
}

/** Delivers mails: to a mail server, or into the captured inbox. */
export interface Delivery {
  /** Resolves when the mail was accepted. Throws DeliveryFault. */
  send(mail: OutgoingMail, signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Why a mail was not accepted. Does not contain the recipient. */
export class DeliveryFault extends Error {
  override name = 'DeliveryFault';
  /** An SMTP status code, or the system's error code. */
  readonly code: string;
  /** A further attempt would fail as well. */
  readonly isFinal: boolean;

  constructor(code: string, isFinal: boolean, cause?: unknown) {
    super(`mail was not accepted: ${code}`, { cause });
    this.code = code;
    this.isFinal = isFinal;
  }
}
