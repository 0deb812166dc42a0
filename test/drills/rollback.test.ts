import { expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { ada, testEnv } from '../support/people.ts';
import { launch, run, serve } from '../support/process.ts';
import { bearer } from '../support/start.ts';

/* docs/operations.md, "Upgrade and rollback". The newer build stands for itself by what it leaves in the database. */
async function upgradedDatabase() {
  const database = await createDatabase();
  const env = { DATABASE_URL: database.url, MASTER_KEYS: testEnv.MASTER_KEYS, AUTO_CONFIRM_EMAIL: 'on' };
  const older = await serve(env);
  const { tokens } = await older.clients.grpc.auth.register(ada);
  await database.query(`alter table users add column of_the_next_version text not null default ''`);
  await database.query(
    `insert into migrations (name, executed_at) values ('Migration20991231000000_of_the_next_version', now())`,
  );
  return { database, env, older, tokens: tokens! };
}

test('the earlier build runs again on a database that a newer build has migrated', { timeout: 60_000 }, async () => {
  const { env, older, tokens } = await upgradedDatabase();
  await older.end();
  const { clients } = await serve(env);
  for (const { auth } of [clients.grpc, clients.json]) {
    await auth.getMe({}, bearer(tokens));
    await auth.signIn(ada);
  }
  await clients.grpc.sessions.refresh({ refreshToken: tokens.refreshToken });
  expect(await run(['migrate'], env)).toMatchObject({ code: 0, stdout: 'the database is up to date\n' });
});

test('a build that the database no longer supports keeps running, but does not start', {
  timeout: 60_000,
}, async () => {
  const { database, env, older, tokens } = await upgradedDatabase();
  await database.query('update installation set min_app_version = 2');
  await older.clients.json.auth.getMe({}, bearer(tokens));
  const refused = launch(['serve'], env);
  expect(await refused.ended).toMatchObject({ code: 1 });
  expect(refused.output.stderr).toContain(
    'the database requires version 2 of its clients, this is 1; upgrade this replica',
  );
});
