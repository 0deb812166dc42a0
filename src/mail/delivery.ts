/** A rendered mail. */
export interface OutgoingMail {
  readonly id: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** The name of the sender, if it is not the configured one. */
  readonly senderName?: string;
  readonly createdAt: Date;
}

/** Delivers mails: to a mail server, or into the captured inbox. */
export interface Delivery {
  /** Resolves when the mail was accepted. Throws DeliveryFault. */
  send(mail: OutgoingMail): Promise<void>;
  /** Ends the attempts that are under way. */
  close(): void;
}

/** What a fault says about the mail: `maybe sent` when its text was sent completely and no response came. */
export type Verdict = 'not sent' | 'maybe sent' | 'final';

/** Why a mail was not accepted. Does not contain the recipient. */
export class DeliveryFault extends Error {
  override name = 'DeliveryFault';
  /** An SMTP status code, or the system's error code. */
  readonly code: string;
  /** After a `final` fault a further attempt would fail as well. */
  readonly verdict: Verdict;

  constructor(code: string, verdict: Verdict, cause?: unknown) {
    super(`mail was not accepted: ${code}`, { cause });
    this.code = code;
    this.verdict = verdict;
  }
}
