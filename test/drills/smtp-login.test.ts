import { expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { ada, bob, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { startSink } from '../support/smtp-sink.ts';

/* docs/operations.md, "Secrets": the login at the mail server is replaced, and waiting mail is kept. */
test('a login at the mail server is replaced, also after the old one was refused, and each mail arrives once', async () => {
  const logins = new Set(['old:first']);
  const sink = await startSink({ logins });
  const database = await createDatabase();
  const envOf = (login: string) => ({
    DATABASE_URL: database.url,
    MASTER_KEYS: testEnv.MASTER_KEYS,
    MAIL_FROM: sink.env.MAIL_FROM,
    MAIL_MODE: 'smtp',
    SMTP_URL: `smtp://${login}@127.0.0.1:${sink.port}`,
  });
  const recipients = () => sink.mails.flatMap(({ to }) => to);

  const before = await serve(envOf('old:first'));
  onTestFinished(() => void before.kill('SIGKILL'));
  await before.clients.grpc.auth.register(ada);
  await expect.poll(recipients).toEqual([ada.email]);

  // The password leaked, and the old login was deleted before any replica had the new one.
  logins.delete('old:first');
  logins.add('next:second');
  sink.hangUp();
  await before.clients.grpc.auth.register(bob);
  const waiting = `select attempts from mail_outbox where state = 'queued'`;
  await expect.poll(() => database.query(waiting)).toEqual([{ attempts: 1 }]);
  expect(recipients()).toEqual([ada.email]);

  const after = await serve(envOf('next:second'));
  await before.end();
  await database.query(`update mail_outbox set due_at = now() where state = 'queued'`);
  await expect.poll(recipients).toEqual([ada.email, bob.email]);
  await expect.poll(() => database.query(waiting)).toEqual([]);
  await after.end();
});
