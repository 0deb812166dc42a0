import type { Exposition } from './exposition.ts';

/** What a replica's mail is told by. */
export interface MailView {
  readonly queue: { readonly length: number; readonly oldest: number };
  readonly outcomes: Readonly<Record<string, number>>;
}

/** How mail fares. The queue is the installation's, so that every replica tells of the same. */
export function exposeMail(to: Exposition, mail: MailView): void {
  to.gauge('gatehouse_mail_queue_length', 'Mails that wait to be sent.', 'max', () => mail.queue.length);
  to.gauge(
    'gatehouse_mail_queue_oldest_seconds',
    'For how long the oldest mail waits.',
    'max',
    () => mail.queue.oldest,
  );
  to.counter('gatehouse_mails_total', 'Mails by what became of a try to send them.', () =>
    Object.entries(mail.outcomes).map(([outcome, count]) => [{ outcome }, count]),
  );
}
