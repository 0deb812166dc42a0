import { expect, test } from 'vitest';
import { lastMail } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { send } from '../support/raw-http.ts';
import { start } from '../support/start.ts';

async function startWithMail(env: Record<string, string> = {}) {
  const service = await start({ env });
  const { auth, admin } = service.clients('json');
  await admin.createUser({ ...ada, name: '<script>alert(1)</script>' }, asService);
  await auth.requestMagicLink({ email: ada.email });
  const mail = await lastMail(service, ada.email);
  const open = (path: string, headers = {}, method = 'GET') =>
    send(service.replicas[0]!.adminPort!, { method, path, headers });
  return { service, mail, open };
}

test('/dev/mail lists captured mails and shows each with its link, without a script', async () => {
  const { mail, open } = await startWithMail();
  const list = await open('/dev/mail');
  expect([list.status, list.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  expect(list.text).toContain(`<a href="?id=${mail.id}">Your link to sign in</a>`);
  expect(list.text).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
  const one = await open(`/dev/mail?id=${mail.id}`);
  expect(one.text).toContain(`<a href="${mail.link}">${mail.link}</a>`);
  const asHtml = await open(`/dev/mail?id=${mail.id}&part=html`);
  expect(asHtml.text).toBe(mail.html.replace('<head>', '<head><base target="_top">'));
  expect(one.text).toContain(`src="?id=${mail.id}&amp;part=html"`);
  for (const { text, headers } of [list, one, asHtml]) {
    expect(text).not.toContain('<script');
    expect(headers['content-security-policy']).toContain("default-src 'none'");
  }
});

test('a mail is shown with its sender and the time of this machine, in the list and alone', async () => {
  const { mail, open } = await startWithMail({ MAIL_FROM: 'Ex & Co <no-reply@example.org>' });
  const time = new Date(mail.time).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'medium' });
  for (const path of ['/dev/mail', `/dev/mail?id=${mail.id}`])
    expect((await open(path)).text).toContain(
      `<small>Ex &amp; Co &lt;no-reply@example.org&gt; to ${ada.email}, ${time}</small>`,
    );
  expect((await open('/dev/mail')).text).toContain('<meta http-equiv="refresh" content="10">');
});

test('a mail is also served as JSON, and an unknown id is 404', async () => {
  const { mail, open } = await startWithMail();
  const { json } = await open(`/dev/mail?id=${mail.id}`, { accept: 'application/json' });
  expect(json).toMatchObject({ id: mail.id, recipient: ada.email, subject: mail.subject });
  expect((await open('/dev/mail?id=x')).status).toBe(404);
  expect((await open('/dev/mail', {}, 'POST')).status).toBe(404);
});

test('the gallery has every mail in every language', async () => {
  const { open } = await startWithMail();
  const { text } = await open('/dev/mail?gallery');
  for (const id of ['en/verification', 'de/magic_code', 'en/account_invite', 'de/new_device']) {
    expect(text).toContain(`<small>${id}</small>`);
    const one = await open(`/dev/mail?gallery&id=${encodeURIComponent(id)}&part=html`);
    expect([one.status, /<html lang="(..)">/.exec(one.text)?.[1]]).toEqual([200, id.slice(0, 2)]);
  }
  expect((await open('/dev/mail?id=en%2Fverification')).status, 'a sample is no mail').toBe(404);
});

test('another site cannot read the inbox under a host name of its own', async () => {
  const { open } = await startWithMail();
  for (const host of ['evil.example', 'evil.example:9090', 'localhost.evil.example'])
    expect((await open('/dev/mail', { host })).status, host).toBe(403);
  for (const host of ['localhost:9090', '127.0.0.1', '[::1]:9090', 'localhost'])
    expect((await open('/dev/mail', { host })).status, host).toBe(200);
});

test('/dev/mail exists only when mail is captured, and only on the admin port', async () => {
  const { service } = await startWithMail();
  expect((await send(service.replicas[0]!.httpPort, { method: 'GET', path: '/dev/mail' })).status).toBe(404);
  const others: Record<string, string>[] = [{ MAIL_MODE: 'off' }, { SMTP_URL: 'smtp://127.0.0.1:9' }];
  for (const env of others) {
    const other = await start({ env });
    expect((await send(other.replicas[0]!.adminPort!, { method: 'GET', path: '/dev/mail' })).status).toBe(404);
  }
});
