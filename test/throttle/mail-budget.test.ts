import { expect, test } from 'vitest';
import { mailsTo, tokenFor } from '../support/inbox.ts';
import { ofCalls } from '../support/methods.ts';
import { ada, asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start } from '../support/start.ts';

const newPassword = 'the second difference';

test('a stolen token is no way to guess the password: five tries a minute, by whatever method and session', async () => {
  const service = await start({ env: { LIMITS: '*=off,AuthService.ChangePassword:session=5' }, replicas: 2 });
  const { as } = await service.welcome();
  const other = await service.signIn();
  const guess = (n: number) => {
    const { auth } = service.clients('json', n);
    const currentPassword = `guess number ${n}`;
    return n % 2
      ? auth.changePassword({ currentPassword, newPassword }, as)
      : auth.updateMe({ email: 'eve@example.org', currentPassword }, other.as);
  };
  for (let n = 0; n < 5; n++) expect((await refusalOf(guess(n))).reason).toBe('CURRENT_PASSWORD_INCORRECT');
  for (let n = 5; n < 7; n++)
    expect(await refusalOf(guess(n))).toMatchObject({
      reason: 'OVER_REQUEST_RATE_LIMIT',
      retryAfter: expect.any(Number),
    });
  service.pass(61);
  const right = { currentPassword: ada.password, newPassword };
  await service.clients('json').auth.changePassword(right, as);
});

test.each<
  [method: 'requestPasswordReset' | 'resetPassword' | 'changePassword' | 'sendVerificationEmail', limit: number]
>([
  ['requestPasswordReset', 3],
  ['resetPassword', 5],
  ['changePassword', 5],
  ['sendVerificationEmail', 3],
])('%s is held to %i calls a minute, on all replicas together', async (method, limit) => {
  const service = await start({ replicas: 2, env: { LIMITS: 'AuthService.SignIn=1000' } });
  const { as } = await service.welcome();
  const call = (n: number) => {
    const { auth } = service.clients('json', n);
    if (method === 'requestPasswordReset') return auth.requestPasswordReset({ email: `p${n}@example.org` });
    if (method === 'resetPassword') return auth.resetPassword({ token: 'nonsense', newPassword });
    if (method === 'changePassword') return auth.changePassword({ currentPassword: 'wrong', newPassword }, as);
    return auth.sendVerificationEmail({}, as);
  };
  const reasonOf = (n: number) =>
    call(n).then(
      () => 'ok',
      async (error) => (await refusalOf(Promise.reject(error))).reason,
    );
  for (let n = 0; n < limit; n++) expect(await reasonOf(n)).not.toBe('OVER_REQUEST_RATE_LIMIT');
  expect(await reasonOf(limit)).toBe('OVER_REQUEST_RATE_LIMIT');
  service.pass(61);
  expect(await reasonOf(0)).not.toBe('OVER_REQUEST_RATE_LIMIT');
});

test('one address is sent no more than the hourly number of mails of a kind, whoever asks, and is answered as ever', async () => {
  const service = await start({ env: { MAIL_HOURLY_LIMIT: '4' } });
  const { auth } = service.clients('json');
  await service.welcome();
  const answers = [];
  for (let n = 0; n < 12; n++) {
    answers.push(
      await auth.requestPasswordReset({ email: ada.email }),
      await auth.requestMagicLink({ email: ada.email }),
    );
    // In a minute they leave. One that had not would be taken back for the next.
    await mailsTo(service, ada.email);
    service.pass(61);
  }
  for (const answer of answers) expect({ ...answer, $typeName: '' }).toEqual({ ...answers[0], $typeName: '' });
  const subjects = (await mailsTo(service, ada.email)).map(({ subject }) => subject).sort();
  expect(subjects).toEqual([...Array(4).fill('Reset your password'), ...Array(4).fill('Your link to sign in')]);
  service.pass(3600);
  await auth.requestPasswordReset({ email: ada.email });
  expect(await mailsTo(service, ada.email)).toHaveLength(9);
});

test('strangers use up nothing of an address by what it is not sent', async () => {
  const service = await start({ env: { MAIL_HOURLY_LIMIT: '4' } });
  const { auth, admin } = service.clients('json');
  const { user } = await admin.createUser({ ...ada, emailVerified: true }, asService);
  for (let n = 0; n < 6; n++) {
    await auth.sendVerificationEmail({ email: ada.email });
    service.pass(61);
  }
  await auth.requestPasswordReset({ email: ada.email });
  await auth.requestMagicLink({ email: ada.email });
  expect(await mailsTo(service, ada.email), 'of other kinds').toHaveLength(2);
  await admin.updateUser({ userId: user!.id, emailVerified: false }, asService);
  await auth.sendVerificationEmail({ email: ada.email });
  expect(await mailsTo(service, ada.email), 'of that kind, once there is one to send').toHaveLength(3);
});

test('whoever registers an address again and again has it sent no more than the hourly number of mails', async () => {
  const service = await start({ env: { MAIL_HOURLY_LIMIT: '4' } });
  const { auth } = service.clients('json');
  for (let n = 0; n < 6; n++) {
    const guest = await service.guest();
    await auth.register(ada, guest.as);
    await mailsTo(service, ada.email);
    await auth.deleteMe({}, guest.as);
  }
  expect(await mailsTo(service, ada.email)).toHaveLength(4);
  await auth.register(ada);
  const { as } = await service.signIn(ada);
  await auth.sendVerificationEmail({}, as);
  expect(await mailsTo(service, ada.email), 'a link to verify it can be had all the same').toHaveLength(5);
});

test('a stolen token is no way to guess the password slowly either: fifty wrong ones, until it is another', async () => {
  const service = await start({
    env: { LIMITS: 'AuthService.ChangePassword=off,AuthService.UpdateMe=off,AuthService.ChangePassword:session=off' },
  });
  const { auth, sessions } = service.clients('json');
  const { user } = await service.welcome();
  let { tokens } = await service.signIn();
  const change = (currentPassword: string) =>
    refusalOf(auth.changePassword({ currentPassword, newPassword }, bearer(tokens)));
  for (let n = 0; n < 50; n++) expect((await change(`guess number ${n}`)).reason).toBe('CURRENT_PASSWORD_INCORRECT');
  service.pass(86_400);
  tokens = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
  for (const each of ['another guess', ada.password])
    expect(await change(each), 'right or wrong').toMatchObject({ reason: 'OVER_REQUEST_RATE_LIMIT' });
  expect((await service.signIn()).user.id, 'the owner signs in all the same').toBe(user.id);
  await auth.requestPasswordReset({ email: ada.email });
  await auth.resetPassword({ token: await tokenFor(service, ada.email), newPassword });
  const { as } = await service.signIn({ ...ada, password: newPassword });
  await auth.changePassword({ currentPassword: newPassword, newPassword: 'the third difference' }, as);
});

// Under the stricter isolation one of them may begin anew.
test.skipIf(process.env.ISOLATION)(
  'known and unknown addresses cost the same statements when a link is asked for',
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
