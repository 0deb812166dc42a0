import { allMailsSent } from './inbox.ts';
import type { startSink } from './smtp-sink.ts';
import type { TestService } from './start.ts';

export type SinkInbox = ReturnType<typeof inboxOf>;

/** The mailboxes of people whose mail a real mail server has accepted. */
export function inboxOf(service: TestService, { mails }: Awaited<ReturnType<typeof startSink>>) {
  const textsTo = async (address: string): Promise<string[]> => {
    await allMailsSent(service);
    return mails.filter(({ to }) => to.includes(address)).map(({ parsed }) => parsed.text ?? '');
  };
  const find = async (address: string, pattern: RegExp): Promise<string> => {
    const found = pattern.exec((await textsTo(address)).at(-1) ?? '')?.[0];
    if (!found) throw new Error(`the last mail to ${address} has no ${pattern}`);
    return found;
  };
  return {
    count: async (address: string) => (await textsTo(address)).length,
    /** The code in the last mail to an address. */
    code: (address: string) => find(address, /^\d{6}$/m),
    /** The link in the last mail to an address. */
    async link(address: string) {
      const link = await find(address, /https?:\/\/\S+\/verify\?token=\S+/);
      service.ledger.keepSecret(new URL(link).searchParams.get('token')!);
      return link;
    },
  };
}
