import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { mailsTo, tokenFor } from '../support/inbox.ts';
import { asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, type Clients, start, wires } from '../support/start.ts';

const kim = { email: 'kim@kiosk.example', password: 'an espresso machine', name: 'Kim' };
const padded = ' \u00a0Kim@Kiosk.Example\r\n';

/** Text that a URL parser, a normal form or toLowerCase takes for the address of Kim. */
const lookAlikes = [
  ...['/é', '?é', '#é', ':80/é', ':80', '/', '?', '#', '\\', '\u3002', '.', '%', '\u0301'].map(
    (end) => `${kim.email}${end}`,
  ),
  ...['é@', 'x@', 'http://', '\u0301'].map((start) => `${start}${kim.email}`),
  '\u212aim@kiosk.example',
  'kim@\u212aiosk.example',
  'kim@kio\u017fk.example',
  '\uff4b\uff49\uff4d@kiosk.example',
  'kim@\uff4biosk.example',
  'kim\uff20kiosk.example',
  'kim\ufe6bkiosk.example',
  'kim@kiosk\u3002example',
  'kim@kiosk\uff0eexample',
  'kim@kiosk\uff61example',
  'kim@k\u0131osk.example',
  'kim@\u24daiosk.example',
  'k\u0130m@kiosk.example',
  'kim@kiosk.ex%61mple',
  'kim@kio\u00adsk.example',
  'ki\u200bm@kiosk.example',
  'kim @kiosk.example',
  'kim@ kiosk.example',
  '"kim"@kiosk.example',
  'Kim <kim@kiosk.example>',
  'mailto:kim@kiosk.example',
];

/** Every method with an address that anybody may name, and what it needs beside the address. */
const methods = {
  register: ({ auth }: Clients, email: string) => auth.register({ ...bob, email }),
  requestPasswordReset: ({ auth }: Clients, email: string) => auth.requestPasswordReset({ email }),
  sendVerificationEmail: ({ auth }: Clients, email: string) => auth.sendVerificationEmail({ email }),
  requestMagicLink: ({ auth }: Clients, email: string) => auth.requestMagicLink({ email }),
  createUser: ({ admin }: Clients, email: string) => admin.createUser({ email }, asService),
} as const;

describe.each(wires)('over %s', (wire) => {
  test('no text that resembles an address signs in as its user, or is sent their mail', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as, account } = await service.welcome({ ...kim, emailVerified: true });
    await service.welcome({ ...bob, emailVerified: true });
    const mails = (await mailsTo(service, kim.email)).length;
    for (const email of lookAlikes) {
      const signIn = await refusalOf(clients.auth.signIn({ ...kim, email }));
      expect(['INVALID_CREDENTIALS', 'INVALID_ARGUMENT'], email).toContain(signIn.reason);
      for (const [name, call] of Object.entries(methods))
        expect(await refusalOf(call(clients, email)), `${name} ${email}`).toMatchObject({
          code: Code.InvalidArgument,
          fields: ['email'],
        });
      const invite = { accountId: account.id, email, role: AccountRole.MEMBER };
      for (const call of [
        () => clients.auth.updateMe({ email, currentPassword: kim.password }, as),
        () => clients.accounts.createAccountInvite(invite, as),
      ])
        expect((await refusalOf(call())).fields, email).toEqual(['email']);
      const listed = clients.admin.listUsers({ email }, asService).catch(() => ({ users: [] }));
      expect((await listed).users, email).toEqual([]);
    }
    expect((await mailsTo(service, kim.email)).length).toBe(mails);
  });

  test('white space around an address and the case of its letters mean nothing, in every field', async () => {
    const service = await start({ env: { MAIL_GAP: '0' } });
    const clients = service.clients(wire);
    const { auth, admin, accounts } = clients;
    const { user } = await auth.register({ ...kim, email: padded });
    expect(user!.email, 'as it was typed, without the white space').toBe('Kim@Kiosk.Example');
    for (const each of ['register', 'createUser'] as const)
      expect((await refusalOf(methods[each](clients, padded))).reason, each).toBe('EMAIL_ALREADY_REGISTERED');
    const latest = async () => (await mailsTo(service, 'Kim@Kiosk.Example')).length;
    for (const each of ['sendVerificationEmail', 'requestPasswordReset'] as const) {
      const before = await latest();
      await methods[each](clients, padded);
      expect(await latest(), each).toBe(before + 1);
    }
    await auth.resetPassword({ token: await tokenFor(service, 'Kim@Kiosk.Example'), newPassword: kim.password });
    const { tokens, account } = await auth.signIn({ ...kim, email: padded });
    const as = bearer(tokens!);
    const clientNonce = 'n'.repeat(22);
    await auth.requestMagicLink({ email: padded, clientNonce });
    const [mail] = (await mailsTo(service, 'Kim@Kiosk.Example')).slice(-1);
    const code = /\b(\d{6})\b/.exec(mail!.text)![1]!;
    await auth.signInWithMagicLink({ code: { email: padded, code, clientNonce } });
    for (const filter of [{ email: padded }, { emailPrefix: ' KIM@' }, { emailPrefix: 'Ki ' }])
      expect((await admin.listUsers(filter, asService)).users.map(({ id }) => id)).toEqual([user!.id]);
    const accountId = account!.account!.id;
    const { invite } = await accounts.createAccountInvite(
      { accountId, email: `\t${bob.email} `, role: AccountRole.MEMBER },
      as,
    );
    expect(invite!.email).toBe(bob.email);
  });

  test('an own address in other letters is answered and changes nothing', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { user, as } = await service.welcome({ ...kim, emailVerified: true });
    const stored = () => service.database.query('select email, email_key, pending_email, email_verified_at from users');
    const before = await stored();
    const { user: own } = await auth.updateMe({ email: 'KIM@kiosk.EXAMPLE ' }, as);
    expect(own).toMatchObject({ email: kim.email, emailVerified: true });
    const { user: managed } = await admin.updateUser(
      { userId: user.id, email: ` ${kim.email.toUpperCase()}` },
      asService,
    );
    expect(managed).toMatchObject({ email: kim.email, emailVerified: true });
    expect(await stored()).toEqual(before);
    expect(await mailsTo(service, kim.email)).toEqual([]);
  });

  test('a new password has eight code points at least, as typed and in its normal form, wherever one is chosen', async () => {
    const service = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const { auth, admin } = service.clients(wire);
    const { as } = await service.welcome({ ...kim, emailVerified: true });
    await auth.requestPasswordReset({ email: kim.email });
    const token = await tokenFor(service, kim.email);
    const choose = {
      register: (password: string) => auth.register({ ...bob, password }),
      createUser: (password: string) => admin.createUser({ ...bob, password }, asService),
      changePassword: (newPassword: string) => auth.changePassword({ currentPassword: kim.password, newPassword }, as),
      resetPassword: (newPassword: string) => auth.resetPassword({ token, newPassword }),
    };
    for (const short of [
      '\ufdfa',
      '\ufdfa'.repeat(7),
      'e\u0301'.repeat(7),
      'qzjx wv',
      '🙈🙉🙊🐵🐒🦍🦧',
      '㍿㍿㍿㍿㍿㍿㍿',
    ])
      for (const [name, call] of Object.entries(choose)) {
        const { reason, metadata } = await refusalOf(call(short));
        expect({ reason, metadata }, `${name} ${short}`).toEqual({
          reason: 'WEAK_PASSWORD',
          metadata: { reasons: 'too_short', min_length: '8' },
        });
      }
    for (const [n, long] of ['qzjx wvk', '🙈🙉🙊🐵🐒🦍🦧🐶', '\ufdfa'.repeat(8), 'e\u0301'.repeat(8)].entries())
      await admin.createUser({ email: `user-${n}@example.org`, password: long }, asService);
  });
});
