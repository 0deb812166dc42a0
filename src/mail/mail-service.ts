import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { folderInbox, type Inbox, type KeptMail, memoryInbox } from './capture.ts';
import type { Delivery } from './delivery.ts';
import { Dispatcher } from './dispatcher.ts';
import type { MailLook } from './layout.ts';
import { Outbox } from './outbox.ts';
import { sampleMails } from './samples.ts';
import { Templates } from './templates.ts';
import { threadedDelivery } from './threaded-delivery.ts';
import type { Sender, SmtpServer } from './transport.ts';

export interface MailSettings {
  readonly look: MailLook;
  /** Base URL of the pages for links. */
  readonly pages: string;
  readonly mode: 'smtp' | 'capture' | 'off';
  readonly smtp: SmtpServer | undefined;
  readonly from: Sender;
  readonly locale: string;
  readonly templates: string | undefined;
}

interface Deps {
  readonly settings: MailSettings;
  readonly keys: MasterKeys;
  readonly autocommit: Autocommit;
  readonly now: Clock;
  readonly onFault: (fault: object) => void;
  /** Whether this process measures the queue for all. */
  readonly isMeasuring: () => boolean;
  /** Undefined: captured mails are kept in the memory of this process. */
  readonly inboxFolder: string | undefined;
}

/** What /dev/mail shows beside the captured mails. */
export interface Gallery {
  /** One mail of each kind in each language. */
  gallery(): readonly KeptMail[];
  /** `Name <address>`, or the address alone. */
  readonly sender: string;
}

/** The mail of one replica: the outbox that takes mails, and the dispatcher that sends them. */
export interface MailService {
  readonly outbox: Outbox;
  readonly dispatcher: Dispatcher | undefined;
  readonly inbox: (Inbox & Gallery) | undefined;
  /** Resolves soon after the next mail is enqueued, for the job that sends it. */
  nudged(): Promise<void>;
  /** As if a mail had been enqueued. */
  wake(): void;
  /** Resolves when the mails under way have ended, within two seconds. */
  close(): Promise<void>;
}

/** Milliseconds in which the transaction that enqueued a mail usually commits. Otherwise the job's next run sends it. */
const commitTime = 15;

export function openMailService({ settings, inboxFolder, ...deps }: Deps): MailService {
  const templates = Templates.load(settings.locale, settings.look, settings.templates);
  const nudges = new Nudges();
  const outbox = new Outbox(deps.keys, settings.mode === 'off', () => nudges.nudge());
  const inbox = settings.mode === 'capture' ? openInbox(settings, inboxFolder) : undefined;
  const delivery: Delivery | undefined =
    inbox ?? (settings.mode === 'smtp' ? threadedDelivery(settings.smtp!, settings.from) : undefined);
  const dispatcher = delivery && new Dispatcher({ ...deps, outbox, templates, delivery });
  const close = async () => dispatcher?.stop();
  return { outbox, dispatcher, inbox, nudged: () => nudges.next(), wake: () => nudges.nudge(), close };
}

/** The folder of captured mails in DATA_DIR. */
export function inboxFolderIn(dataDir: string): string {
  return path.join(dataDir, 'mail');
}

/** The captured mails, in a folder or in this process. */
export function openInbox(
  { locale, look, pages, from, templates: folder }: MailSettings,
  inboxFolder?: string,
): Inbox & Gallery {
  const inbox = inboxFolder ? folderInbox(inboxFolder) : memoryInbox();
  const templates = Templates.load(locale, look, folder);
  const sender = from.name ? `${from.name} <${from.address}>` : from.address;
  return { ...inbox, sender, gallery: () => sampleMails(templates, look.name, pages) };
}

class Nudges {
  #next = Promise.withResolvers<void>();

  nudge(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers<void>();
    void sleep(commitTime, undefined, { ref: false }).then(resolve);
  }

  next(): Promise<void> {
    return this.#next.promise;
  }
}
