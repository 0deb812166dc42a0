// @serializable
import { describe, expect, test } from 'vitest';
import { mailsTo, rejectionLinkFor, tokenFor } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { type Clients, start, type TestService, wires } from '../support/start.ts';

const unlimited = { MAIL_GAP: '0s', MAIL_HOURLY_LIMIT: '1000' };
const newPassword = 'the second difference';

/** A method that sends a link to any address, and the method that uses the link. */
interface Way {
  readonly method: string;
  readonly ask: (clients: Clients) => Promise<unknown>;
  readonly use: (clients: Clients, token: string) => Promise<unknown>;
  /** The kinds of the values in its mail, sorted. */
  readonly kinds: readonly string[];
  /** The kinds of those that stay when the link is used. */
  readonly kept: readonly string[];
}

const ways: readonly Way[] = [
  {
    method: 'RequestPasswordReset',
    ask: ({ auth }: Clients) => auth.requestPasswordReset({ email: ada.email }),
    use: ({ auth }: Clients, token: string) => auth.resetPassword({ token, newPassword }),
    kinds: ['password_reset'],
    kept: [],
  },
  {
    method: 'RequestMagicLink',
    ask: ({ auth }: Clients) => auth.requestMagicLink({ email: ada.email }),
    use: ({ auth }: Clients, token: string) => auth.signInWithMagicLink({ token }),
    kinds: ['magic_link'],
    kept: [],
  },
  {
    method: 'SendVerificationEmail',
    ask: ({ auth }: Clients) => auth.sendVerificationEmail({ email: ada.email }),
    use: ({ auth }: Clients, token: string) => auth.verifyEmail({ token }),
    kinds: ['email_verification', 'registration_rejection'],
    // It stays, so that its link can say that the address is verified already.
    kept: ['registration_rejection'],
  },
];

const liveValues = ({ database }: TestService) =>
  database.query<{ kind: string }>(
    'select kind from one_time_tokens where used_at is null and voided_at is null order by kind',
  );

const rowsOf = (kinds: readonly string[]) => kinds.map((kind) => ({ kind }));

async function startWithBarrier(method: string, env: Record<string, string> = {}) {
  const barrier = new Barrier(method);
  const service = await start({ replicas: 2, inner: [barrier.interceptor()], env });
  await service.clients('json').admin.createUser(ada, asService);
  return { barrier, service };
}

describe.each(wires)('over %s', (wire) => {
  test.each(ways)(
    'twenty concurrent calls of $method leave one valid link',
    async ({ method, ask, use, kinds, kept }) => {
      const { barrier, service } = await startWithBarrier(method, unlimited);
      barrier.expect(crowd);
      const { answers, errors } = await together((n) => ask(service.clients(wire, n)));
      expect(errors).toEqual([]);
      for (const answer of answers) expect(answer).toEqual(answers[0]);
      expect(await liveValues(service)).toEqual(rowsOf(kinds));
      const tokens = (await mailsTo(service, ada.email)).map(({ token }) => token);
      expect(new Set(tokens).size).toBe(tokens.length);
      const outcomes = await Promise.all(
        tokens.map((token, n) => use(service.clients(wire, n), token).then(() => 'good', reasonOf)),
      );
      expect(outcomes.filter((each) => each === 'good')).toHaveLength(1);
      expect(outcomes.at(-1), 'the link that was sent last').toBe('good');
      expect(await liveValues(service)).toEqual(rowsOf(kept));
    },
  );

  test.each(ways)('twenty calls of $method within a minute send one mail', async ({ method, ask, use, kinds }) => {
    const { barrier, service } = await startWithBarrier(method);
    barrier.expect(crowd);
    const { errors } = await together((n) => ask(service.clients(wire, n)));
    expect(errors).toEqual([]);
    const issued = 'select kind from one_time_tokens order by kind';
    expect(await service.database.query(issued)).toEqual(rowsOf(kinds));
    expect(await mailsTo(service, ada.email)).toHaveLength(1);
    await use(service.clients(wire), await tokenFor(service, ada.email));
  });

  test('of twenty concurrent calls of SendVerificationEmail, both links of the mail that was sent last are valid', async () => {
    const barrier = new Barrier('SendVerificationEmail');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()], env: unlimited });
    await service.clients('json').auth.register(ada);
    barrier.expect(crowd);
    const { errors } = await together((n) => service.clients(wire, n).auth.sendVerificationEmail({ email: ada.email }));
    expect(errors).toEqual([]);
    const { token } = await rejectionLinkFor(service, ada.email);
    expect(await liveValues(service)).toEqual(rowsOf(['email_verification', 'registration_rejection']));
    await service.clients(wire).auth.rejectRegistration({ token });
    expect(await liveValues(service)).toEqual([]);
  });

  test('requesting links while one is used never leaves two valid passwords, nor a valid link from before the reset', async () => {
    const service = await start({ replicas: 2, env: unlimited });
    const { auth } = service.clients('json');
    await service.welcome();
    await auth.requestPasswordReset({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const { errors } = await together(async (n) => {
      const clients = service.clients(wire, n);
      if (n % 2) await clients.auth.requestPasswordReset({ email: ada.email });
      else await clients.auth.resetPassword({ token, newPassword });
    });
    for (const error of errors) expect(reasonOf(error)).toBe('RESET_TOKEN_USED_OR_EXPIRED');
    const hasReset = errors.length < Math.ceil(crowd / 2);
    const { password } = ada;
    await auth.signIn({ email: ada.email, password: hasReset ? newPassword : password });
    const other = hasReset ? password : newPassword;
    expect((await refusalOf(auth.signIn({ email: ada.email, password: other }))).reason).toBe('INVALID_CREDENTIALS');
    expect((await liveValues(service)).length).toBeLessThanOrEqual(1);
    expect((await refusalOf(auth.resetPassword({ token, newPassword }))).reason).toBe('RESET_TOKEN_USED_OR_EXPIRED');
  });
});
