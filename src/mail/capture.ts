import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Delivery, OutgoingMail } from './delivery.ts';

/** A mail that was captured instead of sent. */
export interface KeptMail {
  readonly id: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** When it was enqueued, in ISO 8601. */
  readonly time: string;
}

/** For development and tests: the captured mails, newest first, as /dev/mail shows them. */
export interface Inbox extends Delivery {
  list(): readonly KeptMail[];
}

const most = 500;

/** Keeps mails in this process. */
export function memoryInbox(): Inbox {
  const mails: KeptMail[] = [];
  return {
    async send(mail) {
      mails.unshift(keep(mail));
      mails.splice(most);
    },
    list: () => mails,
    close() {},
  };
}

/** Keeps mails in a folder that only its owner can read, so that all processes of this machine show the same mails. */
export function folderInbox(folder: string): Inbox {
  const names = () =>
    readdirSync(folder)
      .filter((each) => each.endsWith('.json'))
      .toSorted()
      .toReversed();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return {
    async send(mail) {
      const draft = path.join(folder, `${mail.id}.draft`);
      writeFileSync(draft, JSON.stringify(keep(mail)), { mode: 0o600 });
      renameSync(draft, path.join(folder, `${mail.id}.json`));
      for (const name of names().slice(most)) rmSync(path.join(folder, name), { force: true });
    },
    list: () => names().map((name) => JSON.parse(readFileSync(path.join(folder, name), 'utf8'))),
    close() {},
  };
}

function keep({ id, recipient, subject, text, html, createdAt }: OutgoingMail): KeptMail {
  return { id, recipient, subject, text, html, time: createdAt.toISOString() };
}
