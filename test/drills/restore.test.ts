import { execFileSync } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { startCluster } from '../support/cluster.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { run, serve } from '../support/process.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer } from '../support/start.ts';

/*
 * docs/operations.md, "After a restore": the database is replaced by an older state of itself. The backup is a copy of the
 * files of the stopped cluster.
 */
test('after a restore nothing that was revoked or used since the backup is valid again', {
  timeout: 120_000,
}, async () => {
  const cluster = await startCluster();
  const backup = `${cluster.data}.backup`;
  onTestFinished(() => cluster.remove());
  const name = await cluster.createDatabase();
  const env = {
    DATABASE_URL: cluster.url(name),
    MASTER_KEYS: testEnv.MASTER_KEYS,
    AUTO_CONFIRM_EMAIL: 'on',
    MAIL_MODE: 'capture',
  };
  const headOf = async () => {
    const { stdout } = await run(['audit', 'verify'], env);
    return /head (\d+:[0-9a-f]{64})/.exec(stdout)![1]!;
  };

  const before = await serve(env);
  const { tokens: kept } = await before.clients.grpc.auth.register(ada);
  const { tokens: revoked } = await before.clients.json.auth.signIn(ada);
  await before.clients.grpc.auth.requestPasswordReset({ email: ada.email });
  await before.end();
  const headOfBackup = await headOf();
  await cluster.stop();
  execFileSync('cp', ['-a', cluster.data, backup]);
  await cluster.start();

  const later = await serve(env);
  await later.clients.grpc.sessions.signOut({}, bearer(revoked!));
  await later.clients.grpc.auth.register(bob);
  await expect.poll(headOf, { timeout: 20_000, interval: 500 }).not.toBe(headOfBackup);
  await later.end();
  const head = await headOf();

  await cluster.stop();
  execFileSync('rm', ['-rf', cluster.data]);
  execFileSync('mv', [backup, cluster.data]);
  await cluster.start();

  const missing = await run(['audit', 'verify', '--head', head], env);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain(head.split(':')[0]);
  expect(await run(['audit', 'verify', '--head', headOfBackup], env)).toMatchObject({ code: 0 });
  expect(await run(['installation', 'restored'], env)).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^default {2}every session and API key is revoked, 1 link or code voided\n/),
  });

  const { clients } = await serve(env);
  for (const { auth, sessions } of [clients.grpc, clients.json])
    for (const { accessToken, refreshToken } of [kept!, revoked!]) {
      expect(await sessions.introspect({ token: accessToken }, asService)).toMatchObject({ active: false });
      for (const call of [() => auth.getMe({}, bearer({ accessToken })), () => sessions.refresh({ refreshToken })])
        expect((await refusalOf(call())).reason).toBe('SESSION_REVOKED');
    }
  await clients.grpc.auth.signIn(ada);
  expect((await refusalOf(clients.grpc.auth.signIn(bob))).reason).toBe('INVALID_CREDENTIALS');
  const { events } = await clients.grpc.admin.listAuditEvents({ action: 'project.revoke_sessions' }, asService);
  expect(events).toMatchObject([{ actorId: 'command line' }]);
  expect(await run(['audit', 'verify', '--head', headOfBackup], env)).toMatchObject({ code: 0 });
});
