// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const hour = 3600;
const mine = 'an-attempt-of-the-client_1';
const other = 'an-attempt-of-another_0002';

describe.each(wires)('over %s', (wire) => {
  test('the attempt that used a token gets the same successor an hour later, on any replica', async () => {
    const service = await start({ replicas: 2 });
    const { tokens } = await service.welcome();
    const call = { refreshToken: tokens.refreshToken, attemptId: mine };
    const first = (await service.clients(wire, 0).sessions.refresh(call)).tokens!;
    service.pass(hour);
    const again = (await service.clients(wire, 1).sessions.refresh(call)).tokens!;
    expect(again.refreshToken).toBe(first.refreshToken);
    service.pass(hour);
    const { sessions } = service.clients(wire, 0);
    expect((await sessions.refresh(call)).tokens!.refreshToken, 'any number of times').toBe(first.refreshToken);
    await sessions.refresh({ refreshToken: again.refreshToken, attemptId: other });
  });

  test('the interval of 0 does not concern a token with its attempt', async () => {
    const service = await start({ env: { REFRESH_REUSE_INTERVAL: '0' } });
    const { sessions } = service.clients(wire);
    const call = { refreshToken: (await service.welcome()).tokens.refreshToken, attemptId: mine };
    const first = await sessions.refresh(call);
    expect((await sessions.refresh(call)).tokens!.refreshToken).toBe(first.tokens!.refreshToken);
  });

  test('once the successor was used, the attempt does not excuse the parent', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const call = { refreshToken: (await service.welcome()).tokens.refreshToken, attemptId: mine };
    const { refreshToken } = (await sessions.refresh(call)).tokens!;
    const newest = (await sessions.refresh({ refreshToken, attemptId: mine })).tokens!;
    expect((await refusalOf(sessions.refresh(call))).reason).toBe('REFRESH_TOKEN_ALREADY_USED');
    expect((await refusalOf(sessions.refresh({ refreshToken: newest.refreshToken }))).reason).toBe('SESSION_REVOKED');
  });

  test.each([
    ['no attempt', mine, ''],
    ['another attempt', mine, other],
    ['an attempt, when the first refresh had none', '', mine],
  ])('a thief who presents the parent with %s ends the session after the interval', async (_, first, second) => {
    const service = await start({ replicas: 2 });
    const { refreshToken } = (await service.welcome()).tokens;
    const { sessions } = service.clients(wire, 0);
    const thief = service.clients(wire, 1).sessions;
    const newest = (await sessions.refresh({ refreshToken, attemptId: first })).tokens!;
    service.pass(8);
    expect((await thief.refresh({ refreshToken, attemptId: second })).tokens!.refreshToken).toBe(newest.refreshToken);
    service.pass(3);
    expect(await refusalOf(thief.refresh({ refreshToken, attemptId: second }))).toMatchObject({
      code: Code.Unauthenticated,
      reason: 'REFRESH_TOKEN_ALREADY_USED',
    });
    expect((await refusalOf(sessions.refresh({ refreshToken: newest.refreshToken }))).reason).toBe('SESSION_REVOKED');
  });

  test('an attempt id that is too short, too long or not base64url is refused, and the token stays unused', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { refreshToken } = (await service.welcome()).tokens;
    for (const attemptId of [
      'a'.repeat(21),
      'a'.repeat(65),
      `${'a'.repeat(22)}=`,
      `${'a'.repeat(22)}\n`,
      'é'.repeat(22),
    ])
      expect((await refusalOf(sessions.refresh({ refreshToken, attemptId }))).code).toBe(Code.InvalidArgument);
    expect(await service.database.query('select generation from sessions')).toEqual([{ generation: 0 }]);
    await sessions.refresh({ refreshToken, attemptId: 'a'.repeat(64) });
  });
});

test('calls of one attempt at the same time, on two replicas, all get the same successor', async () => {
  const service = await start({ replicas: 2 });
  const call = { refreshToken: (await service.welcome()).tokens.refreshToken, attemptId: mine };
  const calls = Array.from({ length: 12 }, (_, i) => service.clients('grpc', i).sessions.refresh(call));
  const successors = (await Promise.all(calls)).map(({ tokens }) => tokens!.refreshToken);
  expect(new Set(successors).size).toBe(1);
  service.pass(hour);
  const { tokens } = await service.clients('json').sessions.refresh(call);
  expect(tokens!.refreshToken).toBe(successors[0]);
});

test('the database stores 128 bits of the hash of an attempt id, and forgets it at a refresh without one', async () => {
  const service = await start();
  const { sessions } = service.clients('json');
  const { refreshToken } = (await service.welcome()).tokens;
  const { tokens } = await sessions.refresh({ refreshToken, attemptId: mine });
  expect(await service.database.dump()).not.toContain(Buffer.from(mine).toString('hex'));
  const stored = 'select length(attempt_hash) as bytes from sessions';
  expect(await service.database.query(stored)).toEqual([{ bytes: 16 }]);
  await sessions.refresh({ refreshToken: tokens!.refreshToken });
  expect(await service.database.query(stored)).toEqual([{ bytes: null }]);
});
