import { Code, type Interceptor } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ConnectError, newAttemptId } from '../../src/sdk/surface.ts';
import { entries, open } from '../support/sdk-entries.ts';
import { start } from '../support/start.ts';

/** Lets the service complete the first `count` refreshes, and loses their responses. */
function losing(count: number) {
  const attempts: string[] = [];
  const interceptor: Interceptor = (next) => async (req) => {
    if (req.method.name !== 'Refresh') return next(req);
    attempts.push((req.message as unknown as { attemptId: string }).attemptId);
    const response = await next(req);
    if (attempts.length <= count) throw new ConnectError('the response was lost', Code.Unavailable);
    return response;
  };
  return { attempts, interceptor };
}

describe.each(entries)('through gatehouse/%s', (entry) => {
  test('a refresh whose response was lost is repeated with the same attempt id', async () => {
    const service = await start({ env: { REFRESH_REUSE_INTERVAL: '0' } });
    const { tokens } = await service.welcome();
    const { attempts, interceptor } = losing(2);
    const { sessions } = open(entry, service.replicas[0]!, { interceptors: [interceptor] });
    const refreshed = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
    expect(attempts).toHaveLength(3);
    expect(new Set(attempts).size).toBe(1);
    expect(attempts[0]).toMatch(/^[\w-]{22}$/);
    await sessions.refresh({ refreshToken: refreshed.refreshToken });
    expect(attempts[3], 'each token has its own attempt').not.toBe(attempts[0]);
  });

  test('a refresh that failed is repeated by the next call an hour later, without a harm to the session', async () => {
    const service = await start();
    const { tokens } = await service.welcome();
    const { attempts, interceptor } = losing(1);
    const { sessions } = open(entry, service.replicas[0]!, { interceptors: [interceptor], maxAttempts: 1 });
    const { refreshToken } = tokens;
    await expect(sessions.refresh({ refreshToken })).rejects.toMatchObject({ code: Code.Unavailable });
    service.pass(3600);
    const again = (await sessions.refresh({ refreshToken })).tokens!;
    service.pass(3600);
    expect((await sessions.refresh({ refreshToken })).tokens!.refreshToken, 'a response not stored').toBe(
      again.refreshToken,
    );
    expect(new Set(attempts).size).toBe(1);
    await sessions.refresh({ refreshToken: again.refreshToken });
  });

  test('an attempt id of the application is sent as it is', async () => {
    const service = await start();
    const { tokens } = await service.welcome();
    const { attempts, interceptor } = losing(0);
    const { sessions } = open(entry, service.replicas[0]!, { interceptors: [interceptor] });
    const attemptId = newAttemptId();
    await sessions.refresh({ refreshToken: tokens.refreshToken, attemptId });
    expect(attempts).toEqual([attemptId]);
  });
});

test('new attempt ids are 22 characters of base64url, each a different one', () => {
  const ids = Array.from({ length: 500 }, newAttemptId);
  expect(new Set(ids).size).toBe(500);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/);
});
