/** A mail as it leaves. */
export interface OutgoingMail {
  readonly id: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly createdAt: Date;
}

/** Takes mails to where they are read. */
export interface Delivery {
  /** Resolves when somebody else is responsible for the mail. Throws DeliveryFault. */
  send(mail: OutgoingMail, signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Why a mail was not taken. Says nothing of whom it was for. */
export class DeliveryFault extends Error {
  override name = 'DeliveryFault';
  /** A status code of SMTP, or of the system. */
  readonly code: string;
  /** Trying again makes no sense. */
  readonly isFinal: boolean;

  constructor(code: string, isFinal: boolean, cause?: unknown) {
    super(`mail was not taken: ${code}`, { cause });
    this.code = code;
    this.isFinal = isFinal;
  }
}
