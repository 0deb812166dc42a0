import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { codeFor, confirmed, supabaseAdmin } from '../support/supabase.ts';
import { adaAtAcme, adopt, startSupabaseWithProvider, urlOf } from '../support/supabase-providers.ts';

const { email, password } = ada;
const typed = 'Ada@Example.ORG';

const started = () => startSupabaseWithProvider({ env: confirmed });
type Client = ReturnType<Awaited<ReturnType<typeof started>>['client']>;

/** Everywhere that a client reads the address. */
async function seenBy(auth: Client): Promise<Set<unknown>> {
  const user = (await auth.getUser()).data.user!;
  const { session } = (await auth.refreshSession()).data;
  const identities = user.identities!.flatMap(({ identity_data }) => identity_data!.email);
  return new Set([user.email, session!.user.email, decodeJwt(session!.access_token).email, ...identities]);
}

describe('an address with capitals is shown in lower case', () => {
  test('that a user registers with, and replaces', async () => {
    const { client, service } = await started();
    const auth = client();
    await auth.signUp({ email: typed, password });
    expect(await seenBy(auth)).toEqual(new Set([email]));
    await auth.updateUser({ email: 'Countess@Example.ORG' });
    expect((await auth.getUser()).data.user!.new_email).toBe('countess@example.org');
    expect(await mailsTo(service, 'countess@example.org')).toHaveLength(1);
  });

  test('that a code is mailed to', async () => {
    const { client, service } = await started();
    const auth = client();
    await auth.signInWithOtp({ email: typed });
    await auth.verifyOtp({ email: typed, token: await codeFor(service, email), type: 'email' });
    expect(await seenBy(auth)).toEqual(new Set([email]));
  });

  test('that a provider returns', async () => {
    const { client, browser } = await started();
    const auth = client();
    const { fragment } = await browser().signIn(await urlOf(auth), { ...adaAtAcme, email: typed });
    await adopt(auth, fragment);
    expect(await seenBy(auth)).toEqual(new Set([email]));
  });

  test('that a backend creates, invites and changes users with', async () => {
    const { service } = await started();
    const admin = supabaseAdmin(service);
    const { data } = await admin.createUser({ email: typed });
    expect(data.user!.email).toBe(email);
    const changed = await admin.updateUserById(data.user!.id, { email: 'Countess@Example.ORG' });
    expect(changed.data.user!.email).toBe('countess@example.org');
    expect((await admin.inviteUserByEmail('New@Example.ORG')).data.user!.email).toBe('new@example.org');
    const link = await admin.generateLink({ type: 'signup', email: 'Other@Example.ORG', password });
    expect(link.data.user!.email).toBe('other@example.org');
    const { users } = await service.clients('json').admin.listUsers({}, asService);
    for (const user of users) expect(user.email).toBe(user.email.toLowerCase());
    service.ledger.keepSecret(link.data.properties!.hashed_token);
  });

  test('that a user registered with natively, where its spelling stays', async () => {
    const { client, service } = await started();
    const { auth: native } = service.clients('json');
    await service.clients('json').admin.createUser({ email: typed, password, emailVerified: true }, asService);
    const auth = client();
    await auth.signInWithPassword({ email: email.toUpperCase(), password });
    const user = (await auth.getUser()).data.user!;
    expect([user.email, user.identities![0]!.identity_data!.email]).toEqual([email, email]);
    expect((await native.signIn({ email, password })).user!.email).toBe(typed);
  });
});
