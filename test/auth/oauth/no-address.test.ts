import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../../gen/gatehouse/v1/account_pb.ts';
import { mailsTo } from '../../support/inbox.ts';
import { ada, asService } from '../../support/people.ts';
import { refusalOf } from '../../support/refusal.ts';
import { bearer, type Wire, wires } from '../../support/start.ts';
import { oauthClient, startWithProvider } from './oauth.ts';

/** A user whose provider has neither an address nor a name of them. */
async function startWithNobody(wire: Wire, env: Record<string, string> = {}) {
  const { service, provider } = await startWithProvider({ env });
  const { signIn } = oauthClient(service, provider, wire);
  const enter = () => signIn({ sub: 'nobody-at-acme' });
  const { user, account, tokens } = await enter();
  expect(user).toMatchObject({ email: '', pendingEmail: '', name: '' });
  const again = async () => bearer((await enter()).tokens!);
  return { service, user: user!, accountId: account!.account!.id, as: bearer(tokens!), again };
}

describe.each(wires)('over %s', (wire) => {
  test('a user without an address is sent no link', async () => {
    const { service, as } = await startWithNobody(wire);
    const refusal = await refusalOf(service.clients(wire).auth.sendVerificationEmail({}, as));
    expect(refusal.reason).toBe('USER_WITHOUT_EMAIL');
  });

  test('a user without an address and a name invites in the name of the account, where no address is verified', async () => {
    const { service, as, accountId } = await startWithNobody(wire, { EMAIL_VERIFICATION: 'off' });
    const { accounts } = service.clients(wire);
    const { mailed } = await accounts.createAccountInvite(
      { accountId, email: ada.email, role: AccountRole.MEMBER },
      as,
    );
    expect(mailed).toBe(true);
    const [mail] = await mailsTo(service, ada.email);
    expect(mail!.text).not.toContain('null');
  });

  test('a user without an address is sent no notices', async () => {
    const { service, user, again } = await startWithNobody(wire);
    const { admin, auth } = service.clients(wire);
    await admin.updateUser({ userId: user.id, password: ada.password }, asService);
    const newPassword = 'notes on the engine';
    await auth.changePassword({ currentPassword: ada.password, newPassword }, await again());
    await auth.updateMe({ email: ada.email, currentPassword: newPassword }, await again());
    expect(await service.database.query('select recipient from mail_outbox')).toEqual([{ recipient: ada.email }]);
  });
});
