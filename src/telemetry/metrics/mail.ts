import type { Exposition } from './exposition.ts';

/** The part of the dispatcher that the metrics read. */
export interface MailView {
  readonly queue: { readonly length: number; readonly oldest: number } | undefined;
  readonly outcomes: Readonly<Record<string, number>>;
}

/** The queue is that of the installation, and one process reports it. */
export function exposeMail(to: Exposition, mail: MailView): void {
  to.gauge('gatehouse_mail_queue_length', 'Queued mails.', 'max', () => mail.queue?.length);
  to.gauge('gatehouse_mail_queue_oldest_seconds', 'Age of the oldest queued mail.', 'max', () => mail.queue?.oldest);
  to.counter('gatehouse_mails_total', 'Attempts to send a mail, by outcome.', () =>
    Object.entries(mail.outcomes).map(([outcome, count]) => [{ outcome }, count]),
  );
}
