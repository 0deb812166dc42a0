import { describe, expect, test } from 'vitest';
import { Barrier, crowd } from './race.ts';
import { refusalOf } from './refusal.ts';
import { start, wires } from './start.ts';

describe.each(wires)('over %s', (wire) => {
  test('a refresh gives a new pair, and the new pair works', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const first = await sessions.refresh({ refreshToken: tokens.refreshToken });
    expect(first.tokens!.refreshToken).not.toBe(tokens.refreshToken);
    expect(first.tokens!.accessToken).not.toBe(tokens.accessToken);
    const second = await sessions.refresh({ refreshToken: first.tokens!.refreshToken });
    expect(second.tokens!.refreshToken).not.toBe(first.tokens!.refreshToken);
  });

  test('a token presented again at once gives the same successor; after the interval it ends the session', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const first = await sessions.refresh({ refreshToken: tokens.refreshToken });
    const replayed = await sessions.refresh({ refreshToken: tokens.refreshToken });
    expect(replayed.tokens!.refreshToken).toBe(first.tokens!.refreshToken);
    service.pass(11);
    const refusal = await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }));
    expect(refusal).toMatchObject({ reason: 'REFRESH_TOKEN_ALREADY_USED', message: 'Refresh token has been revoked' });
    const newest = await refusalOf(sessions.refresh({ refreshToken: first.tokens!.refreshToken }));
    expect(newest.reason).toBe('SESSION_REVOKED');
    const events = await service.database.query(`select action, result from audit_events where action = 'auth.refresh_reuse'`);
    expect(events).toEqual([{ action: 'auth.refresh_reuse', result: 'FAILURE' }]);
  });
});

test('of parallel refreshes with one token exactly one moves the session on, and all get the same successor', async () => {
  const barrier = new Barrier('Refresh');
  const service = await start({ replicas: 2, inner: [barrier.interceptor('method')] });
  const { tokens, session } = await service.welcome();
  barrier.expect(crowd);
  const answers = await Promise.all(
    Array.from({ length: crowd }, (_, i) => service.clients('grpc', i).sessions.refresh({ refreshToken: tokens.refreshToken })),
  );
  expect(new Set(answers.map((each) => each.tokens!.refreshToken)).size).toBe(1);
  const [row] = await service.database.query('select generation from sessions where id = $1', [session.id]);
  expect(row).toEqual({ generation: 1 });
});
