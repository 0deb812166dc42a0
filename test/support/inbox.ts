import { setTimeout as sleep } from 'node:timers/promises';
import type { KeptMail } from '../../src/mail/capture.ts';
import { send } from './raw-http.ts';
import type { TestService } from './start.ts';

/** A mail as /dev/mail shows it. */
export interface ReadMail extends KeptMail {
  /** The link in it, and the token of that link. */
  readonly link: string;
  readonly token: string;
}

/** All mails to an address that have left so far, the oldest first. Waits until nothing is in the queue. */
export async function mailsTo(service: TestService, address: string): Promise<ReadMail[]> {
  await allMailsSent(service);
  const inboxes = await Promise.all(service.replicas.map(({ adminPort }) => readInbox(adminPort!)));
  const mails = inboxes.flat().toSorted((a, b) => (a.id < b.id ? -1 : 1));
  for (const { token } of mails) service.ledger.keepSecret(token);
  return mails.filter(({ recipient }) => recipient === address);
}

/** The last mail to an address. */
export async function lastMail(service: TestService, address: string): Promise<ReadMail> {
  const mail = (await mailsTo(service, address)).at(-1);
  if (!mail) throw new Error(`no mail to ${address}`);
  return mail;
}

/** The token of the last mail to an address. */
export async function tokenFor(service: TestService, address: string): Promise<string> {
  return (await lastMail(service, address)).token;
}

/** The link by which the owner of an address rejects its registration, and the token of it. */
export async function rejectionLinkFor(
  service: TestService,
  address: string,
): Promise<{ link: string; token: string }> {
  const { text } = await lastMail(service, address);
  const link = /https?:\/\/\S+\/reject-registration\?token=\S+/.exec(text)?.[0];
  if (!link) throw new Error(`no link to reject the registration of ${address}`);
  const token = new URL(link).searchParams.get('token')!;
  service.ledger.keepSecret(token);
  return { link, token };
}

/** Waits until every queued mail has left: sending changes its row. */
export async function allMailsSent({ database }: TestService): Promise<void> {
  const since = Date.now();
  for (;;) {
    const [row] = await database.query<{ queued: number }>(
      `select count(*)::int as queued from mail_outbox where state = 'queued'`,
    );
    if (row!.queued === 0) return;
    if (Date.now() - since > 5000) throw new Error(`${row!.queued} mails have not left`);
    await sleep(10);
  }
}

async function readInbox(port: number): Promise<ReadMail[]> {
  const { json } = await send(port, { method: 'GET', path: '/dev/mail', headers: { accept: 'application/json' } });
  return json.mails.map((mail: Omit<ReadMail, 'link' | 'token'>) => {
    const link = /https?:\/\/\S+\?(?:token|account_invite_code)=\S+/.exec(mail.text)?.[0] ?? '';
    return { ...mail, link, token: link && [...new URL(link).searchParams.values()][0] };
  });
}
