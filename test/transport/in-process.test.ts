import { createClient, createContextValues } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { inProcess } from '../../src/http/in-process.ts';
import { kOrigin, kSystem } from '../../src/rpc/context.ts';
import { readOrigin } from '../../src/rpc/origin.ts';
import { bob } from '../support/people.ts';
import { start } from '../support/start.ts';

test('the parallel calls of one page end independently, and have their own callers', async () => {
  const service = await start();
  const [ada, other] = [await service.welcome(), await service.welcome(bob)];
  const values = createContextValues()
    .set(
      kOrigin,
      readOrigin(() => null, '127.0.0.1', 0),
    )
    .set(kSystem, 'connectrpc');
  const { services, interceptors } = service.replicas[0]!.app;
  const options = { interceptors, proxyHops: 0, refusesUnknownFields: false };
  const open = inProcess(services, { ...options, shutdownSignal: new AbortController().signal });
  const transport = open(values, new AbortController().signal);
  const auth = createClient(AuthService, transport);
  const mfa = createClient(MfaService, transport);
  const sessions = createClient(SessionService, transport);
  for (let round = 0; round < 20; round++) {
    const [own, assurance, listed, foreign] = await Promise.all([
      auth.getMe({}, ada.as),
      mfa.getAssurance({}, ada.as),
      sessions.listSessions({}, ada.as),
      auth.getMe({}, other.as),
    ]);
    expect(own.user!.id).toBe(ada.user.id);
    expect(assurance.factors).toEqual([]);
    expect(listed.sessions.map(({ id }) => id)).toEqual([ada.session.id]);
    expect(foreign.user!.id).toBe(other.user.id);
  }
});
