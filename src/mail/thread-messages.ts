import type { OutgoingMail, Verdict } from './delivery.ts';
import type { Sender, SmtpServer } from './transport.ts';

/** What the thread is started with. */
export interface ThreadSettings {
  readonly server: SmtpServer;
  readonly from: Sender;
}

/** A message to the thread. */
export type ToThread =
  | { readonly kind: 'send'; readonly n: number; readonly mail: OutgoingMail }
  | { readonly kind: 'close' };

/** A message from the thread: it has started, or how an attempt ended. */
export type FromThread = 'started' | EndOfAttempt;

export interface EndOfAttempt {
  readonly n: number;
  /** Undefined when the mail was accepted. */
  readonly fault?: { readonly code: string; readonly verdict: Verdict } | undefined;
}
