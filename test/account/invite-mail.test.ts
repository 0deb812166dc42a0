import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { lastMail, mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalWithoutTrace } from '../support/refusal.ts';
import { startSink } from '../support/smtp-sink.ts';
import { start, type TestService, wires } from '../support/start.ts';

const { ADMIN, MEMBER } = AccountRole;
const carol = { email: 'carol@example.org', password: 'a long enough phrase', name: 'Carol' };
const patiently = { timeout: 8000 };

/** The link of an invitation in the text of a mail. */
const linkIn = (text: string) => /http\S+\?account_invite_code=ghi_[\w-]{32}/.exec(text)![0];

const statesOf = async ({ database }: TestService) =>
  database.query<{ state: string; says: boolean }>(
    `select state, sealed is not null as says from mail_outbox where kind = 'account_invite' order by id`,
  );

describe.each(wires)('over %s', (wire) => {
  test('an invitation is mailed to the invited address, and its link leads to the application and into the account', async () => {
    const service = await start({ env: { FRONTEND_URL: 'https://app.example.com' } });
    const { accounts, auth } = service.clients(wire);
    const { account, as } = await service.welcome({ ...ada, emailVerified: true });
    const draft = { accountId: account.id, email: carol.email, role: MEMBER };
    const made = await accounts.createAccountInvite(draft, as);
    expect(made.mailed).toBe(true);
    const [mail, ...others] = await mailsTo(service, carol.email);
    expect(others).toEqual([]);
    expect(made, 'the code is for the owner of the address alone').toMatchObject({ accountInviteCode: '', link: '' });
    expect(mail!.link).toBe(`https://app.example.com/invite?account_invite_code=${mail!.token}`);
    expect(mail!.subject).toBe('You are invited to an account');
    for (const each of ["“Ada's Account”", 'app.example.com', 'from Ada,', carol.email])
      expect(mail!.text).toContain(each);
    const anchors = [...mail!.html.matchAll(/<a href="([^"]*)"[^>]*>([^<]*)</g)].map(([, href, text]) => [href, text]);
    expect(anchors).toEqual([
      [mail!.link, 'Accept invitation'],
      [mail!.link, mail!.link],
    ]);
    const joined = await auth.register({ ...carol, accountInviteCode: mail!.token });
    expect(joined.account!.account!.id).toBe(account.id);
    expect(await statesOf(service)).toEqual([{ state: 'sent', says: false }]);
  });

  test('the mail is in the language of the invited user, else of the inviter, else in the default one', async () => {
    const service = await start({ env: { MAIL_GAP: '0s' } });
    const { accounts, auth } = service.clients(wire);
    const [owner, invited] = [
      await service.welcome({ ...ada, emailVerified: true }),
      await service.welcome({ ...bob, emailVerified: true }),
    ];
    const accountId = owner.account.id;
    const subjectOf = async (email: string) => {
      const { invite } = await accounts.createAccountInvite({ accountId, email, role: MEMBER }, owner.as);
      const { subject } = await lastMail(service, email);
      await accounts.revokeAccountInvite({ accountId, inviteId: invite!.id }, owner.as);
      return subject;
    };
    expect(await subjectOf(bob.email)).toBe('You are invited to an account');
    await auth.updateMe({ locale: 'de' }, owner.as);
    expect(await subjectOf(bob.email)).toBe('Sie sind in ein Konto eingeladen');
    expect(await subjectOf(carol.email)).toBe('Sie sind in ein Konto eingeladen');
    await auth.updateMe({ locale: 'en-GB' }, invited.as);
    expect(await subjectOf(bob.email)).toBe('You are invited to an account');
  });

  test('names in a mail are neither markup nor links nor headers, and are cut to the length of a name', async () => {
    const sink = await startSink();
    const service = await start({ env: { ...sink.env, FRONTEND_URL: 'http://localhost:3000' } });
    const { accounts } = service.clients(wire);
    const { account, user, as } = await service.welcome({ ...ada, emailVerified: true });
    const names: [account: string, inviter: string][] = [
      ['<b>Win</b> https://evil.example/?a=b&c', '</p><a href="//evil.example">here</a>'],
      ['www.evil.example', 'mailto:eve@evil.example'],
      [`{{link}} $\{7*7} <%= 1 %>`, '=?utf-8?q?=0d=0aBcc:_eve@evil.example?='],
      ['evil\uff0eexample', 'evil\u3002example\u202e'],
      ['evil.\u200bexample', '\\\\evil.example'],
      ['Dr. Ada & Co. '.repeat(14), `Ada\u2028Bcc: ${'x'.repeat(150)}`],
    ];
    for (const [n, [name, inviter]] of names.entries()) {
      // Written to the table directly: the validation refuses some of these, and older versions may have stored them.
      await service.database.query('update accounts set name = $2 where id = $1', [account.id, name]);
      await service.database.query('update users set name = $2 where id = $1', [user.id, inviter]);
      const email = `carol-${n}@example.org`;
      await accounts.createAccountInvite({ accountId: account.id, email, role: MEMBER }, as);
      await expect.poll(() => sink.mails.length, patiently).toBe(n + 1);
      const { parsed, raw, to } = sink.mails[n]!;
      const link = linkIn(parsed.text!);
      expect(to).toEqual([email]);
      expect(parsed.subject).toBe('You are invited to an account');
      expect(raw.split('\r\n\r\n', 1)[0]).not.toMatch(/evil|^bcc/im);
      expect([...parsed.html!.matchAll(/<(\w+)/g)].map(([, tag]) => tag)).toEqual(
        'html head meta meta meta meta title style body div table tr td table tr td tr td p table tr td a p a p'.split(
          ' ',
        ),
      );
      const body = parsed.html!.slice(parsed.html!.indexOf('<body')).replace(/<[^>]*>|(&#847;&zwnj;&nbsp;)+/g, '');
      for (const text of [parsed.text!, body]) {
        const rest = [link, email, 'localhost:3000'].reduce((left, known) => left.replaceAll(known, ''), text);
        const seen = rest.replace(/\d+:\d+/g, '').normalize('NFKC');
        expect(seen).not.toMatch(/[.:/\\@。]\p{DI}*[\p{L}\p{N}]/u);
        expect(seen).not.toMatch(/[\p{Bidi_Control}\u2028]/u);
        // The preview of the mail repeats its first paragraph.
        expect(seen.length).toBeLessThan(text === body ? 1000 : 500);
      }
    }
    expect(sink.mails[2]!.parsed.text).toContain(`“{{link}} $\{7*7} <%= 1 %>”`);
    expect(sink.mails[5]!.parsed.text).toContain('“Dr. Ada & Co. Dr. Ada & Co.');
    expect(sink.mails[0]!.parsed.html).toContain('&lt;b&gt;Win&lt;');
  });

  test('the mail of an invitation that was accepted, revoked or replaced is not sent, and its content is deleted', async () => {
    const sink = await startSink();
    const service = await start({ env: sink.env });
    const { accounts, admin, auth } = service.clients(wire);
    const [owner, guest] = [
      await service.welcome({ ...ada, emailVerified: true }),
      await service.welcome({ ...bob, emailVerified: true }),
    ];
    const { id: accountId } = owner.account;
    const userId = guest.user.id;
    const deaths: ((made: { id: string; accountInviteCode: string; email: string }) => Promise<unknown>)[] = [
      ({ id }) => accounts.revokeAccountInvite({ accountId, inviteId: id }, owner.as),
      ({ accountInviteCode, email }) => auth.register({ ...carol, email, accountInviteCode }),
      () => accounts.updateMember({ accountId, userId, role: MEMBER }, owner.as),
      () => accounts.removeMember({ accountId, userId }, guest.as),
      () => admin.deleteUser({ userId }, asService),
    ];
    sink.state.mode = { rcpt: 451 };
    const faulty = `select from mail_outbox where kind = 'account_invite' and fault is not null`;
    for (const [n, die] of deaths.entries()) {
      await accounts.addMember({ accountId, userId, role: ADMIN }, asService).catch(() => {});
      await accounts.updateMember({ accountId, userId, role: ADMIN }, owner.as);
      const email = `carol-${n}@example.org`;
      const made = await accounts.createAccountInvite(
        { accountId, email, role: MEMBER },
        n === 1 ? asService : guest.as,
      );
      await expect.poll(async () => (await service.database.query(faulty)).length, patiently).toBe(n + 1);
      await die({ id: made.invite!.id, accountInviteCode: made.accountInviteCode, email });
      expect((await statesOf(service))[n], `${die}`).toEqual({ state: 'cancelled', says: false });
    }
    sink.state.mode = 'take';
    service.pass(3600);
    const living = { accountId, email: 'dave@example.org', role: MEMBER };
    await accounts.createAccountInvite(living, (await service.signIn(ada)).as);
    const ours = () => sink.mails.filter(({ parsed }) => parsed.subject === 'You are invited to an account');
    await expect.poll(() => ours().length, patiently).toBe(1);
    expect(ours()[0]!.to).toEqual([living.email]);
  });

  test('the mail of an invitation that expires while the mail server is down is not sent, and does not delay the next one', async () => {
    const sink = await startSink();
    const service = await start({ env: sink.env });
    const { accounts } = service.clients(wire);
    const { account, as } = await service.welcome({ ...ada, emailVerified: true });
    const draft = { accountId: account.id, email: carol.email, role: MEMBER };
    sink.state.mode = { rcpt: 451 };
    await accounts.createAccountInvite(draft, as);
    await accounts.createAccountInvite({ ...draft, email: 'dave@example.org' }, as);
    // Each failure has been recorded by then, with the time of the next attempt.
    const failed = 'select from mail_outbox where fault is not null';
    await expect.poll(async () => (await service.database.query(failed)).length, patiently).toBe(2);
    service.pass(7 * 86_400 - 10);
    await expect.poll(() => sink.state.tries, patiently).toBe(4);
    sink.state.mode = 'take';
    service.pass(10);
    const { invite } = await accounts.createAccountInvite(draft, (await service.signIn(ada)).as);
    await expect.poll(() => sink.mails.length, patiently).toBe(1);
    expect(sink.mails[0]!.to).toEqual([invite!.email]);
    expect(linkIn(sink.mails[0]!.parsed.text!)).toBeTruthy();
    service.pass(60);
    const dead = { state: 'cancelled', says: false };
    await expect.poll(() => statesOf(service), patiently).toEqual([dead, dead, { state: 'sent', says: false }]);
    expect(sink.mails).toHaveLength(1);
  });

  test('an address receives no more invitations than its budget, and the response says that no mail was sent', async () => {
    const service = await start({ env: { MAIL_HOURLY_LIMIT: '1' } });
    const { accounts, auth } = service.clients(wire);
    const welcome = (person: typeof ada) => service.welcome({ ...person, emailVerified: true });
    const hosts = [await welcome(ada), await welcome(bob), await welcome(carol)];
    const email = 'dave@example.org';
    const invite = ({ account, as }: (typeof hosts)[number]) =>
      accounts.createAccountInvite({ accountId: account.id, email, role: MEMBER }, as);
    expect((await invite(hosts[0]!)).mailed).toBe(true);
    const again = () => invite(hosts[0]!);
    expect((await refusalWithoutTrace(service.database, again)).reason).toBe('ALREADY_INVITED');
    expect((await invite(hosts[1]!)).mailed, 'within the gap').toBe(false);
    service.pass(61);
    const unsent = await invite(hosts[2]!);
    expect(unsent.mailed, 'within the hour').toBe(false);
    expect(await mailsTo(service, email)).toHaveLength(1);
    expect(unsent.accountInviteCode, 'nobody is given the code instead').toBe('');
    const joined = await auth.register({ ...ada, email, accountInviteCode: await tokenFor(service, email) });
    expect(joined.account!.account!.id).toBe(hosts[0]!.account.id);
  });

  test('with MAIL_MODE off the response says that no mail was sent', async () => {
    const service = await start({ env: { MAIL_MODE: 'off' } });
    const { account, as } = await service.welcome({ ...ada, emailVerified: true });
    const draft = { accountId: account.id, email: carol.email, role: MEMBER };
    const { mailed, accountInviteCode } = await service.clients(wire).accounts.createAccountInvite(draft, as);
    expect(mailed).toBe(false);
    const { user, tokens } = await service.clients(wire).auth.register({ ...carol, accountInviteCode });
    expect([user!.emailVerified, tokens], 'a code from the response proves nothing').toEqual([false, undefined]);
    expect(await statesOf(service)).toEqual([]);
  });
});
