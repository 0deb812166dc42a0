import type { KeptMail } from './capture.ts';
import type { MailKind } from './mail-messages.ts';
import { type TextName, textsWithCode } from './template-files.ts';
import type { Templates } from './templates.ts';

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
    factor: 'My phone',
    remaining: '9',
    provider: 'GitHub',
    identity: 'ada-lovelace',
  };
  return templates.names().map(({ language, name }) => {
    const [kind, more] = variantOf(name);
    const mail = templates.render(kind, language, { ...values, ...more });
    return { id: `${language}/${name}`, recipient: values.email, time: values.time, ...mail };
  });
}

/** The mail of each text that has a code beside its link. */
const kindsWithCode = new Map(Object.entries(textsWithCode).map(([kind, name]) => [name as string, kind as MailKind]));

/** The kind of a text, and the value that selects it among the texts of the kind. */
function variantOf(name: TextName): readonly [kind: MailKind, more: Record<string, string>] {
  const kind = kindsWithCode.get(name);
  if (kind || name === 'reauthentication') return [kind ?? 'reauthentication', { code: '482913' }];
  if (name === 'factor_enrolled_sessions') return ['factor_enrolled', { sessions: 'Firefox on Linux, Safari on iOS' }];
  return [name as MailKind, {}];
}
