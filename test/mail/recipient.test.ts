import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalWithoutTrace } from '../support/refusal.ts';
import { startSink } from '../support/smtp-sink.ts';
import { start, wires } from '../support/start.ts';

const patiently = { timeout: 8000 };

/** Addresses that the contract allows and that a library might quote, fold, decode or resolve. */
const odd = [
  'Ada.Lovelace@Example.ORG',
  '.ada@example.org',
  'ada.@example.org',
  'a..da@example.org',
  "o'hara+tag@example.org",
  "!#$%&'*+/=?^_`{|}~-@example.org",
  '=?utf-8?q?ada?=@example.org',
  '%61da@example.org',
  'ada%example.net@example.org',
  'user=example.net@example.org',
  'ada@xn--bcher-kva.example',
  'ada@xn--0.example',
  'bob@XN--BCHER-KVA.example',
  'ada@localhost',
  'ada@127.1',
  'ada@0x7f.1',
  'ada@1',
  `ada@${'a'.repeat(63)}.example`,
  `${'a'.repeat(64)}@example.org`,
];

/** Lists, names, comments, quotes, and texts that begin a header after decoding. */
const none = [
  'a@x.com,b@y.com',
  'a@x.com;b@y.com',
  'a@x.com;b',
  'a@x.com b@y.com',
  '"a@x.com" <b@y.com>',
  'Ada <ada@example.org>',
  '<ada@example.org>',
  'group:a@x.com;',
  '@relay.example:ada@example.org',
  'a@x.com%0abcc:b@y.com',
  'a@x.com\nBcc: b@y.com',
  'a@x.com\r\nRCPT TO:<b@y.com>',
  'a@x.com>\r\nDATA',
  'a\tb@x.com',
  '"quoted local"@example.org',
  '"ada"@example.org',
  'ada(comment)@example.org',
  'ada@example.org (comment)',
  'ada@(comment)example.org',
  'ada@[192.0.2.1]',
  'ada@exa\u00admple.org',
  'ada@exa\u200bmple.org',
  'ada@b\u00fccher.example',
  '\u00e4da@example.org',
  'ada@example.org\u0000',
  'a@b@example.org',
  'ada@example.org.',
  'ada@-example.org',
  'ada',
  '@example.org',
  'ada@',
];

describe.each(wires)('over %s', (wire) => {
  test('a mail server receives exactly the stored address, byte for byte, however unusual', async () => {
    const sink = await startSink();
    const service = await start({ env: sink.env });
    const { admin, auth } = service.clients(wire);
    for (const email of odd) {
      const { user } = await admin.createUser({ email }, asService);
      expect(user!.email).toBe(email);
      await auth.requestMagicLink({ email });
    }
    await expect.poll(() => sink.recipients.length, patiently).toBe(odd.length);
    expect(sink.recipients.toSorted()).toEqual(odd.toSorted());
    const stored = await service.database.query<{ email: string }>('select email from users');
    expect(stored.map(({ email }) => email).toSorted()).toEqual(odd.toSorted());
    await expect.poll(() => sink.mails.length, patiently).toBe(odd.length);
  });

  test('every field for an address refuses anything but a single address, and no mail is sent', async () => {
    const sink = await startSink();
    const service = await start({ env: sink.env });
    const { admin, auth, accounts } = service.clients(wire);
    const { user, account, as } = await service.welcome(ada);
    const accountId = account.id;
    for (const email of none) {
      const inviting = { accountId, email, role: AccountRole.MEMBER };
      for (const call of [
        () => auth.register({ ...bob, email }),
        () => auth.requestPasswordReset({ email }),
        () => auth.requestMagicLink({ email }),
        () => auth.sendVerificationEmail({ email }),
        () => auth.updateMe({ email, currentPassword: ada.password }, as),
        () => admin.createUser({ email }, asService),
        () => admin.updateUser({ userId: user.id, email }, asService),
        () => accounts.createAccountInvite(inviting, as),
      ])
        expect(await refusalWithoutTrace(service.database, call), `${JSON.stringify(email)} ${call}`).toMatchObject({
          code: Code.InvalidArgument,
          reason: 'INVALID_ARGUMENT',
          fields: ['email'],
        });
    }
    expect(await service.database.query('select from mail_outbox')).toEqual([]);
    expect(sink.recipients).toEqual([]);
  }, 60_000);
});
