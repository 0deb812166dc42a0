import { expect, test } from 'vitest';
import { tokenFor } from '../support/inbox.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start } from '../support/start.ts';

const newPassword = 'the second difference';

test('with an access token the user’s password can be tried five times a minute, over all methods and sessions', async () => {
  const service = await start({ env: { LIMITS: '*=off,AuthService.ChangePassword:session=5' }, replicas: 2 });
  const { as } = await service.welcome();
  const other = await service.signIn();
  const tryWrong = (n: number) => {
    const { auth } = service.clients('json', n);
    const currentPassword = `wrong password ${n}`;
    return n % 2
      ? auth.changePassword({ currentPassword, newPassword }, as)
      : auth.updateMe({ email: 'eve@example.org', currentPassword }, other.as);
  };
  for (let n = 0; n < 5; n++) expect((await refusalOf(tryWrong(n))).reason).toBe('CURRENT_PASSWORD_INCORRECT');
  for (let n = 5; n < 7; n++)
    expect(await refusalOf(tryWrong(n))).toMatchObject({
      reason: 'OVER_REQUEST_RATE_LIMIT',
      retryAfter: expect.any(Number),
    });
  service.pass(61);
  const right = { currentPassword: ada.password, newPassword };
  await service.clients('json').auth.changePassword(right, as);
});

test('with an access token fifty wrong passwords in a row are possible until the password is changed', async () => {
  const service = await start({
    env: { LIMITS: 'AuthService.ChangePassword=off,AuthService.UpdateMe=off,AuthService.ChangePassword:session=off' },
  });
  const { auth, sessions } = service.clients('json');
  const { user } = await service.welcome();
  let { tokens } = await service.signIn();
  const change = (currentPassword: string) =>
    refusalOf(auth.changePassword({ currentPassword, newPassword }, bearer(tokens)));
  for (let n = 0; n < 50; n++) expect((await change(`wrong password ${n}`)).reason).toBe('CURRENT_PASSWORD_INCORRECT');
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
