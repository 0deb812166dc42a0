import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { placeholders } from '../../src/mail/template-files.ts';
import { Templates } from '../../src/mail/templates.ts';
import { faultsOf, faulty, makeDirectory } from '../support/config-fixtures.ts';
import { lastMail } from '../support/inbox.ts';
import { look } from '../support/look.ts';
import { ada, asService } from '../support/people.ts';
import { startSink } from '../support/smtp-sink.ts';
import { start } from '../support/start.ts';

const patiently = { timeout: 8000 };

test('users receive mails in their language, or in the default one when there are no texts in theirs', async () => {
  const service = await start({ env: { MAIL_LOCALE: 'de', MAIL_GAP: '0s' } });
  const { auth } = service.clients('json');
  const { as } = await service.welcome();
  const subjectAfter = async (locale: string) => {
    await auth.updateMe({ locale }, as);
    await auth.requestMagicLink({ email: ada.email });
    return (await lastMail(service, ada.email)).subject;
  };
  expect(await subjectAfter('en-GB')).toBe('Your link to sign in');
  expect(await subjectAfter('de-AT')).toBe('Ihr Link zur Anmeldung');
  expect(await subjectAfter('fr')).toBe('Ihr Link zur Anmeldung');
  expect(await subjectAfter('')).toBe('Ihr Link zur Anmeldung');
});

function folderWith(files: Record<string, string>): string {
  const folder = makeDirectory();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

test('an operator supplies texts, and values in them are only text', async () => {
  const folder = folderWith({
    'en/password_reset.txt': 'Subject: Hello {{name}}\n\nDear {{name}}\n\n{{link}}\n',
    'fr/magic_link.txt': 'Subject: Votre lien\n\n{{link}}\n',
    'en/magic_link.txt': 'Subject: Plain\n\n{{link}}\n',
    'en/magic_link.html': '<b>{{name}}</b><a href="{{link}}">in</a>',
  });
  const sink = await startSink();
  const service = await start({ env: { ...sink.env, MAIL_TEMPLATES: folder } });
  const { auth, admin } = service.clients('json');
  const name = `{{link}}{{7*7}}<%= 1 %>$\{x}<b>`;
  await admin.createUser({ ...ada, name }, asService);
  await auth.requestPasswordReset({ email: ada.email });
  await auth.requestMagicLink({ email: ada.email });
  await expect.poll(() => sink.mails.length, patiently).toBe(2);
  const [reset, link] = sink.mails.map(({ parsed }) => parsed);
  expect(reset!.subject).toBe(`Hello ${name}`);
  expect(reset!.text).toContain(`Dear ${name}`);
  expect(reset!.html).toContain(`Dear {{link}}{{7*7}}&lt;%= 1 %&gt;$\{x}&lt;b&gt;`);
  expect(link!.html).toMatch(/^<b>\{\{link\}\}\{\{7\*7\}\}&lt;%= 1 %&gt;\$\{x\}&lt;b&gt;<\/b><a href="http/);
});

test.each<[fault: string, files: Record<string, string>, sentence: RegExp]>([
  [
    'an unknown placeholder',
    { 'en/magic_link.txt': 'Subject: s\n\n{{link}} {{password}}' },
    /\{\{password\}\} is unknown/,
  ],
  ['code between braces', { 'en/magic_link.txt': 'Subject: s\n\n{{link}} {{7*7}}' }, /\{\{7\*7\}\}/],
  ['no link', { 'en/magic_link.txt': 'Subject: s\n\nno' }, /\{\{link\}\} is missing/],
  ['no code', { 'en/magic_code.txt': 'Subject: s\n\n{{link}}' }, /\{\{code\}\} is missing/],
  [
    'no link in its HTML',
    { 'en/magic_link.txt': 'Subject: s\n\n{{link}}', 'en/magic_link.html': '<b>no</b>' },
    /html: \{\{link\}\} is missing/,
  ],
  ['no subject', { 'en/magic_link.txt': 'no\n\n{{link}}' }, /Subject/],
  ['the name of no mail', { 'en/magic.txt': 'Subject: s\n\nno' }, /the name of no mail: rename it/],
  ['HTML alone', { 'en/magic_link.html': '{{link}}' }, /magic_link\.txt is missing/],
])('a replica does not start with texts that have %s', (_, files, sentence) => {
  const folder = folderWith(files);
  expect(faultsOf({ MAIL_TEMPLATES: folder }).message).toMatch(sentence);
  expect(() => Templates.load('en', look, folder)).toThrow(sentence);
});

test('all faults of all texts are listed together, beside those of other settings', () => {
  const folder = folderWith({
    'en/magic_link.txt': 'Subject: {{subject}}\n\n{{password}}',
    'fr/verification.html': '{{link}}',
    'de/magic.txt': 'Subject: s\n\nno',
  });
  const { message, faults } = faultsOf({ MAIL_TEMPLATES: folder, HTTP_PORT: 'x' });
  expect(faults.map(({ variable }) => variable).toSorted()).toEqual(['HTTP_PORT', 'MAIL_TEMPLATES']);
  for (const each of [
    'en/magic_link.txt: {{subject}} is unknown: use {{site}}, {{email}}, {{name}}, {{link}}, {{lifetime}}',
    'en/magic_link.txt: {{password}} is unknown',
    'en/magic_link.txt: {{link}} is missing: add it',
    'fr/verification.txt is missing beside the .html: add it',
    'de/magic is the name of no mail',
  ])
    expect(message).toContain(each);
  expect(faulty({ MAIL_TEMPLATES: '/no/such/directory' })).toEqual(['MAIL_TEMPLATES']);
});

test('docs/mail.md has the placeholders of every mail', () => {
  const rows = [...readFileSync('docs/mail.md', 'utf8').matchAll(/^\| `(\w+)` \| .*? \| (.*) \|$/gm)];
  const documented = rows.map(([, name, list]) => [
    name,
    [...list!.matchAll(/\{\{(\w+)\}\}/g)].map(([, each]) => each),
  ]);
  expect(Object.fromEntries(documented)).toEqual(placeholders);
});

test('every mail has a text in every language, and no placeholder remains in it', () => {
  const templates = Templates.load('en', look);
  const values = {
    site: 's',
    email: 'e',
    name: 'n',
    link: 'http://l',
    lifetime: '86400',
    time: '2026-06-01T12:00:00Z',
    account: 'a',
    inviter: 'i',
    address: '192.0.2.1',
    device: 'd',
    factor: 'f',
    remaining: '1',
    provider: 'p',
    identity: 'n',
  };
  const kinds = [
    'verification',
    'password_reset',
    'magic_link',
    'email_change',
    'email_change_notice',
    'email_changed',
    'factor_enrolled',
    'factor_removed',
    'factors_reset',
    'recovery_codes_created',
    'recovery_code_used',
    'factor_failed',
    'passkey_added',
    'passkey_removed',
    'key_copied',
    'identity_linked',
    'identity_unlinked',
  ];
  for (const kind of [...kinds, 'password_changed', 'already_registered', 'account_invite', 'new_device'] as const)
    for (const locale of ['en', 'de']) {
      const { subject, text, html } = templates.render(kind as 'verification', locale, values);
      for (const each of [subject, text, html]) expect(each, `${locale} ${kind}`).not.toMatch(/\{\{|undefined|NaN/);
      expect(html).toContain(`<html lang="${locale}">`);
    }
});

test.each(['en', 'de'])('a magic link with a code has a text of its own in %s', (locale) => {
  const values = { site: 's', email: 'e', link: 'http://l', lifetime: '600' };
  const templates = Templates.load('en', look);
  const [plain, coded] = [values, { ...values, code: '012345' }].map((each) =>
    templates.render('magic_link', locale, each),
  );
  for (const each of [coded!.text, coded!.html]) {
    expect(each).toContain('012345');
    expect(each).toContain('http://l');
    expect(each).not.toMatch(/\{\{|undefined|NaN/);
  }
  expect(plain!.subject).not.toBe(coded!.subject);
});

test.each(['../../etc', 'en;q=1', 'EN_us', '', 'xx', 'constructor'])('the locale %s selects a text', (locale) => {
  const values = { site: 's', email: 'e', name: 'n' };
  expect(Templates.load('en', look).render('already_registered', locale, values).subject).toBe(
    'You already have an account',
  );
});

test('a value cannot begin a header', async () => {
  const templates = Templates.load(
    'en',
    look,
    folderWith({ 'en/magic_link.txt': 'Subject: For {{name}}\n\n{{link}}' }),
  );
  const values = { name: 'x\r\nBcc: eve@example.org', link: 'http://l', site: '', email: '' };
  expect(templates.render('magic_link', 'en', values).subject).toBe('For x Bcc: eve@example.org');
});
