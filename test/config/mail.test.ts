import { expect, test } from 'vitest';
import { faultsOf, faulty, production, read } from '../support/config-fixtures.ts';

const { MAIL_MODE: _, ...silent } = production;
const smtp = {
  ...silent,
  SMTP_URL: 'smtps://user:p%40ss@mail.example.com',
  MAIL_FROM: 'no-reply@example.com',
  FRONTEND_URL: 'https://app.example.com',
};

test('production requires a mail server or MAIL_MODE=off, and refuses to capture mail', () => {
  expect(faulty(silent)).toEqual(['SMTP_URL']);
  expect(read(smtp).mail).toMatchObject({ mode: 'smtp' });
  expect(read({ ...silent, MAIL_MODE: 'off' }).mail.mode).toBe('off');
  expect(faulty({ ...smtp, MAIL_MODE: 'capture' })).toEqual(['MAIL_MODE']);
  expect(faulty({ ...smtp, FRONTEND_URL: 'http://app.example.com' })).toEqual(['FRONTEND_URL']);
  expect(faulty({ ...silent, SMTP_URL: smtp.SMTP_URL })).toEqual(['MAIL_FROM']);
});

test('outside production mail is captured unless there is a server', () => {
  expect(read({}).mail.mode).toBe('capture');
  expect(read({ SMTP_URL: 'smtp://localhost:1025' }).mail.mode).toBe('smtp');
  expect(faulty({ MAIL_MODE: 'smtp' })).toEqual(['SMTP_URL']);
});

test.each([
  ['smtp://mail.example.com', { scheme: 'smtp', host: 'mail.example.com', port: undefined, auth: undefined }],
  ['smtps://u:p%40ss@h:465', { scheme: 'smtps', host: 'h', port: 465, auth: { user: 'u', pass: 'p@ss' } }],
  ['smtp-insecure://[::1]:80/', { scheme: 'smtp-insecure', host: '::1', port: 80, auth: undefined }],
])('%s names a mail server', (SMTP_URL, server) => {
  expect(read({ SMTP_URL }).mail.smtp).toEqual(server);
});

test.each([
  ['SMTP_URL', 'http://mail.example.com'],
  ['SMTP_URL', 'smtp://'],
  ['SMTP_URL', 'smtp://u:100%@mail.example.com'],
  ['SMTP_URL', 'smtp://u%:p@mail.example.com'],
  ['SMTP_URL', 'smtp://u:%ff@mail.example.com'],
  ['SMTP_URL', 'smtp://host/path'],
  ['SMTP_URL', 'smtp://host?pool=true'],
  ['MAIL_FROM', 'nobody'],
  ['MAIL_FROM', 'a@example.org, b@example.org'],
  ['MAIL_FROM', 'Name <a@example.org> <b@example.org>'],
  ['MAIL_FROM', 'Name\nBcc: x <a@example.org>'],
  ['FRONTEND_URL', 'javascript:alert(1)'],
  ['FRONTEND_URL', 'https://user@app.example.com'],
  ['FRONTEND_URL', 'https://app.example.com/?next=x'],
  ['FRONTEND_URL', 'https://app.example.com/#x'],
  ['MAIL_LOCALE', 'fr'],
  ['MAGIC_LINK_LIFETIME', '0s'],
])('%s=%s is refused, without printing a secret value', (variable, value) => {
  const faults = faultsOf({ [variable]: value });
  expect(faults.faults.map((each) => each.variable)).toEqual([variable]);
  if (value.length > 8 && variable === 'SMTP_URL') expect(faults.message).not.toContain(value);
});

test('HIDE_REGISTRATION and AUTO_CONFIRM_EMAIL exclude each other', () => {
  expect(faulty({ HIDE_REGISTRATION: 'on', AUTO_CONFIRM_EMAIL: 'on' })).toEqual(['AUTO_CONFIRM_EMAIL']);
});

test('a sender may have a name', () => {
  expect(read({ MAIL_FROM: 'Ada & Co <ada@example.org>' }).mail.from).toEqual({
    name: 'Ada & Co',
    address: 'ada@example.org',
  });
  expect(read({ MAIL_FROM: 'ada@example.org' }).mail.from).toEqual({ name: '', address: 'ada@example.org' });
});
