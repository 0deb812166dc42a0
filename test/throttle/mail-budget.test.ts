import { expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { ofCalls } from '../support/methods.ts';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { bearer, start } from '../support/start.ts';

test('an address gets no more than the hourly number of mails of a kind, and the response stays the same', async () => {
  const service = await start({ env: { MAIL_HOURLY_LIMIT: '4' } });
  const { auth } = service.clients('json');
  await service.welcome();
  const responses = [];
  for (let n = 0; n < 12; n++) {
    responses.push(
      await auth.requestPasswordReset({ email: ada.email }),
      await auth.requestMagicLink({ email: ada.email }),
    );
    // Wait until they are sent: the next value would cancel a queued mail.
    await mailsTo(service, ada.email);
    service.pass(61);
  }
  for (const response of responses) expect({ ...response, $typeName: '' }).toEqual({ ...responses[0], $typeName: '' });
  const subjects = (await mailsTo(service, ada.email)).map(({ subject }) => subject).sort();
  expect(subjects).toEqual([...Array(4).fill('Reset your password'), ...Array(4).fill('Your link to sign in')]);
  service.pass(3600);
  await auth.requestPasswordReset({ email: ada.email });
  expect(await mailsTo(service, ada.email)).toHaveLength(9);
});

test('requests that send no mail do not count against the address', async () => {
  const service = await start({ env: { MAIL_HOURLY_LIMIT: '4' } });
  const { auth, admin } = service.clients('json');
  const { user } = await admin.createUser({ ...ada, emailVerified: true }, asService);
  for (let n = 0; n < 6; n++) {
    await auth.sendVerificationEmail({ email: ada.email });
    service.pass(61);
  }
  await auth.requestPasswordReset({ email: ada.email });
  await auth.requestMagicLink({ email: ada.email });
  expect(await mailsTo(service, ada.email), 'mails of other kinds').toHaveLength(2);
  await admin.updateUser({ userId: user!.id, emailVerified: false }, asService);
  await auth.sendVerificationEmail({ email: ada.email });
  expect(await mailsTo(service, ada.email), 'a mail of that kind, once there is one to send').toHaveLength(3);
});

test.each(['a guest', 'a new user'])(
  'registering an address again and again as %s sends it no more than the hourly number of mails',
  async (whose) => {
    const service = await start({ env: { MAIL_HOURLY_LIMIT: '4' } });
    const { auth } = service.clients('json');
    for (let n = 0; n < 6; n++) {
      const guest = whose === 'a guest' ? await service.guest() : undefined;
      const { tokens } = await auth.register(ada, guest?.as);
      const as = tokens ? bearer(tokens) : (await service.signIn(ada)).as;
      await mailsTo(service, ada.email);
      await auth.deleteMe({}, as);
    }
    expect(await mailsTo(service, ada.email)).toHaveLength(4);
    await auth.register(ada);
    const { as } = await service.signIn(ada);
    await auth.sendVerificationEmail({}, as);
    expect(await mailsTo(service, ada.email), 'a link to verify it can still be requested').toHaveLength(5);
  },
);

// With serializable transactions one of the calls may be repeated, which costs further statements.
test.skipIf(process.env.ISOLATION)(
  'a request for a link costs the same statements for known and unknown addresses',
  async () => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { auth } = service.clients('grpc');
    await service.welcome();
    const namesDuring = async (call: () => Promise<unknown>) => {
      const before = proxy.statements.length;
      await call();
      return ofCalls(proxy.statements.slice(before)).map(({ name, text }) => name || text.slice(0, 24));
    };
    for (const ask of [
      (email: string) => auth.requestPasswordReset({ email }),
      (email: string) => auth.requestMagicLink({ email }),
    ])
      expect(await namesDuring(() => ask(ada.email))).toEqual(await namesDuring(() => ask('unknown@example.org')));
  },
);
