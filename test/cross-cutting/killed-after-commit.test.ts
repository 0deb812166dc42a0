import { randomUUID } from 'node:crypto';
import { ConnectError } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { GuestDisposition } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import { isCommitOfCall } from '../support/commits.ts';
import { createDatabase } from '../support/database.ts';
import { asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { reasonOf } from '../support/refusal.ts';
import { startReplica } from '../support/replica.ts';
import { startSink } from '../support/smtp-sink.ts';
import { bearer, type Clients } from '../support/start.ts';

type Stage = Awaited<ReturnType<typeof startStage>>;

/** A replica that will be killed, behind a proxy that can keep responses of the database back, and a mail server. */
async function startStage() {
  const sink = await startSink();
  const database = await createDatabase();
  const proxy = await startProxy();
  const env = { ...sink.env, AUTO_CONFIRM_EMAIL: 'on', MAIL_GAP: '0s', LIMITS: '*=off' };
  const { MASTER_KEYS } = testEnv;
  const doomed = await serve({ ...env, MASTER_KEYS, DATABASE_URL: proxy.url(database), DATABASE_POOL_SIZE: '20' });
  let people = 0;
  const welcome = async () => {
    const person = { email: `person-${++people}@example.org`, password: 'a difference engine', emailVerified: true };
    const { user } = await doomed.clients.json.admin.createUser(person, asService);
    const { tokens } = await doomed.clients.json.auth.signIn(person);
    return { ...person, id: user!.id, as: bearer(tokens!) };
  };
  const mailed = async (email: string): Promise<string> => {
    const found = () => sink.mails.find(({ to }) => to[0] === email)?.parsed.text;
    await expect.poll(found).toBeDefined();
    return /\?token=(\S+)/.exec(found()!)![1]!;
  };
  return { database, proxy, doomed, welcome, mailed, restart: () => startReplica(database, env) };
}

/** A call whose response is lost, and the same call again, with what it must return. */
interface Lost {
  call(clients: Clients): Promise<unknown>;
  again(clients: Clients, stage: Stage): Promise<void>;
}

const outcomeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'OK',
    (error) => `${reasonOf(error)}`,
  );

const ways: Record<string, (stage: Stage) => Promise<Lost>> = {
  'a registration with its request id returns the same user and a session': async () => {
    const person = { email: 'register@example.org', password: 'a difference engine', requestId: randomUUID() };
    return {
      call: ({ auth }) => auth.register(person),
      async again({ auth, sessions }, { database }) {
        const { tokens } = await auth.register(person);
        await sessions.refresh({ refreshToken: tokens!.refreshToken });
        const rows = await database.query(
          `select s.id from users u join sessions s on s.user_id = u.id and s.revoked_at is null where u.email = $1`,
          [person.email],
        );
        expect(rows).toHaveLength(1);
      },
    };
  },
  'a guest is created anew, and the lost one harms nobody': async () => ({
    call: ({ auth }) => auth.signUpAnonymous({}),
    again: async ({ auth }) => expect((await auth.signUpAnonymous({})).tokens).toBeDefined(),
  }),
  'a link that signs in is used, and has opened one session': async ({ welcome, mailed, doomed }) => {
    const { email, id } = await welcome();
    await doomed.clients.json.auth.requestMagicLink({ email });
    const token = await mailed(email);
    return {
      call: ({ auth }) => auth.signInWithMagicLink({ token }),
      async again({ auth }, { database }) {
        expect(await outcomeOf(auth.signInWithMagicLink({ token }))).toBe('OTP_EXPIRED');
        const opened = 'select id from sessions where user_id = $1';
        expect(await database.query(opened, [id]), 'before the link, and by it').toHaveLength(2);
      },
    };
  },
  'a link that sets a password is used, and the new password is the only one': async ({ welcome, mailed, doomed }) => {
    const { email, password } = await welcome();
    await doomed.clients.json.auth.requestPasswordReset({ email });
    const reset = { token: await mailed(email), newPassword: 'another difference engine' };
    return {
      call: ({ auth }) => auth.resetPassword(reset),
      async again({ auth }) {
        expect(await outcomeOf(auth.resetPassword(reset))).toBe('RESET_TOKEN_USED_OR_EXPIRED');
        expect(await outcomeOf(auth.signIn({ email, password }))).toBe('INVALID_CREDENTIALS');
        expect(await outcomeOf(auth.signIn({ email, password: reset.newPassword }))).toBe('OK');
      },
    };
  },
  'an API key with its request id exists once, and its secret is not returned': async ({ welcome }) => {
    const { as } = await welcome();
    const request = { name: 'a program', requestId: randomUUID() };
    return {
      call: ({ devices }) => devices.createApiKey(request, as),
      async again({ devices }) {
        const { apiKey, secret } = await devices.createApiKey(request, as);
        expect(secret).toBe('');
        expect((await devices.listApiKeys({}, as)).apiKeys.map(({ id }) => id)).toEqual([apiKey!.id]);
      },
    };
  },
  'an invitation that was accepted is used, by a member of the account': async ({ welcome, doomed }) => {
    const { accounts, auth } = doomed.clients.json;
    const [owner, invited] = [await welcome(), await welcome()];
    const accountId = (await auth.getMe({}, owner.as)).account!.account!.id;
    const invite = { accountId, email: invited.email, role: AccountRole.MEMBER };
    const { accountInviteCode } = await accounts.createAccountInvite(invite, asService);
    return {
      call: ({ accounts }) => accounts.acceptAccountInvite({ accountInviteCode }, invited.as),
      async again({ accounts }) {
        const repeated = accounts.acceptAccountInvite({ accountInviteCode }, invited.as);
        expect(await outcomeOf(repeated)).toBe('ACCOUNT_INVITE_CODE_USED');
        const joined = (await accounts.listAccounts({}, invited.as)).accounts.filter(({ id }) => id === accountId);
        expect(joined.map(({ role }) => role)).toEqual([AccountRole.MEMBER]);
      },
    };
  },
  'a guest is merged once': async ({ welcome, doomed }) => {
    const { as, id } = await welcome();
    const { auth, devices } = doomed.clients.json;
    const guest = await auth.signUpAnonymous({});
    const { loginCode, pollingCode } = await devices.startCliLogin({ anonRefreshToken: guest.tokens!.refreshToken });
    const request = { loginCode, guestDisposition: GuestDisposition.MERGE };
    return {
      call: ({ devices }) => devices.completeCliLogin(request, as),
      async again({ devices }, { database }) {
        await outcomeOf(devices.completeCliLogin(request, as));
        expect((await devices.pollCliLogin({ pollingCode })).user?.id).toBe(id);
        const merges = `select actor_id as id from audit_events where action = 'user.merge'`;
        expect(await database.query(merges)).toEqual([{ id }]);
      },
    };
  },
};

test('after a process is killed between COMMIT and its responses, each repeated call finds the first one done', async () => {
  const stage = await startStage();
  const { proxy, doomed } = stage;
  const lost: (Lost & { readonly outcome: Promise<unknown> })[] = [];
  // Each is held after its commit, with no lock, while the others run.
  for (const prepare of Object.values(ways)) {
    const each = await prepare(stage);
    const committed = proxy.hold('after', isCommitOfCall());
    const outcome = each.call(doomed.clients[lost.length % 2 ? 'grpc' : 'json']).then(() => 'OK', ConnectError.from);
    await committed;
    lost.push({ ...each, outcome });
  }
  await doomed.end('SIGKILL');
  for (const { outcome } of lost) {
    const error = await outcome;
    expect(error).toBeInstanceOf(ConnectError);
    expect(reasonOf(error), 'no response of the service').toBeUndefined();
  }
  const clients = await stage.restart();
  for (const { again } of lost) await again(clients, stage);
}, 60_000);
