import type { KeptMail } from './capture.ts';
import type { MailKind } from './mail-messages.ts';
import { kindsWithCode, type Templates } from './templates.ts';

const token = 'ghot_sample-sample-sample-sample-sample-sample-sample-sample';

/** Every mail in every language, with made-up values, for the gallery of /dev/mail. */
export function sampleMails(templates: Templates, site: string, pages: string): KeptMail[] {
  const values = {
    site,
    email: 'ada@example.org',
    name: 'Ada',
    link: `${pages}/sample?token=${token}`,
    reject_link: `${pages}/reject-registration?token=${token}`,
    lifetime: '3600',
    time: '2026-01-31T12:00:00Z',
    address: '192.0.2.1',
    device: 'Firefox on Linux',
    account: 'Analytical Engines',
    inviter: 'Bob',
  };
  return templates.names().map(({ language, name }) => {
    const kind = kindsWithCode.get(name);
    const isWithCode = kind !== undefined || name === 'reauthentication';
    const mail = templates.render(kind ?? (name as MailKind), language, {
      ...values,
      ...(isWithCode && { code: '482913' }),
    });
    return { id: `${language}/${name}`, recipient: values.email, time: values.time, ...mail };
  });
}
