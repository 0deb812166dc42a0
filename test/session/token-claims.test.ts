import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { partsOf } from '../support/forge.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const claimsOf = (tokens: { accessToken: string } | undefined) => partsOf(tokens!.accessToken).claims;

/** Metadata of that many bytes as JSON. A quote is two bytes. */
const metadataOf = (bytes: number) => ({ n: '"'.repeat(Math.floor((bytes - 8) / 2)) + 'x'.repeat((bytes - 8) % 2) });

describe.each(wires)('over %s', (wire) => {
  test('access tokens have the claim email_verified, and by TOKEN_CLAIMS the account and the role', async () => {
    const env = { TOKEN_CLAIMS: 'account_id, account_role', AUTO_CONFIRM_EMAIL: 'on' };
    const service = await start({ env });
    const { auth, sessions, accounts, admin } = service.clients(wire);
    const registered = await auth.register(ada);
    const { id } = registered.account!.account!;
    const owning = { email_verified: true, account_id: id, account_role: 'owner' };
    expect(claimsOf(registered.tokens)).toMatchObject(owning);
    const { tokens, as, user } = await service.signIn(ada);
    expect(claimsOf(tokens)).toMatchObject(owning);
    expect(claimsOf((await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens)).toMatchObject(owning);
    const host = await service.welcome(bob);
    expect(claimsOf(host.tokens)).toMatchObject({ email_verified: false });
    await accounts.addMember({ accountId: host.account.id, userId: user.id, role: AccountRole.VIEWER }, asService);
    await accounts.switchAccount({ accountId: host.account.id }, as);
    const viewing = { email_verified: true, account_id: host.account.id, account_role: 'viewer' };
    await auth.requestMagicLink({ email: ada.email });
    const entered = await auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) });
    expect(claimsOf(entered.tokens)).toMatchObject(viewing);
    expect(entered.account!.account).toMatchObject({ id: host.account.id, role: AccountRole.VIEWER });
    const { as: operator } = await service.operator();
    expect(claimsOf((await admin.impersonateUser({ userId: user.id }, operator)).tokens)).toMatchObject(viewing);
    const guest = claimsOf((await service.guest()).tokens);
    expect(guest).toMatchObject({ email_verified: false });
    expect(guest).not.toHaveProperty('account_id');
  });

  test('without TOKEN_CLAIMS access tokens do not name the account', async () => {
    const service = await start();
    const { tokens } = await service.welcome(ada);
    const { tokens: next } = await service.clients(wire).sessions.refresh({ refreshToken: tokens.refreshToken });
    for (const each of [tokens, next]) expect(claimsOf(each)).not.toHaveProperty('account_id');
  });

  test('the largest access token is below 8 KB, and every method takes it', async () => {
    const PUBLIC_URL = `https://${'a'.repeat(63)}.${'b'.repeat(24)}.org`;
    const service = await start({ env: { TOKEN_CLAIMS: 'account_role,account_id', PUBLIC_URL } });
    expect(PUBLIC_URL).toHaveLength(100);
    const { auth, admin, sessions } = service.clients(wire);
    const domain = Array.from({ length: 4 }, () => 'd'.repeat(46)).join('.');
    const email = `${'e'.repeat(64)}@${domain}.o`;
    const person = { email, password: ada.password, ...{ appMetadata: metadataOf(2500) } };
    const created = await admin.createUser({ ...person, userMetadata: metadataOf(2500) }, asService);
    const { user } = created;
    expect(user).toMatchObject({ appMetadata: metadataOf(2500), userMetadata: metadataOf(2500) });
    const { as: operator } = await service.operator();
    const { tokens } = await admin.impersonateUser({ userId: user!.id }, operator);
    const token = tokens!.accessToken;
    expect(claimsOf(tokens)).toMatchObject({ user_metadata: metadataOf(2500), act: {}, account_role: 'owner' });
    expect(token.length).toBeGreaterThan(7800);
    expect(token.length).toBeLessThan(8192);
    expect(await sessions.introspect({ token }, asService)).toMatchObject({ active: true, email });
    const as = { headers: { authorization: `Bearer ${token}` } };
    expect((await auth.getMe({}, as)).user!.email).toBe(email);
    const more = admin.updateUser({ userId: user!.id, appMetadata: { more: 1 } }, asService);
    expect(await refusalOf(more)).toMatchObject({ code: 3, fields: ['app_metadata'] });
    const both = { ...bob, appMetadata: metadataOf(2501), userMetadata: metadataOf(2500) };
    expect((await refusalOf(admin.createUser(both, asService))).fields).toEqual(['app_metadata', 'user_metadata']);
  });
});
