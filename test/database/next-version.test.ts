import { type DescMethodUnary, fromJson } from '@bufbuild/protobuf';
import type { MikroORM } from '@mikro-orm/postgresql';
import { expect, onTestFinished, test } from 'vitest';
import { importUsers } from '../../src/admin/import.ts';
import { commandLine } from '../../src/cli/caller.ts';
import { openOrm } from '../../src/database/orm.ts';
import { uuidv7 } from '../../src/database/uuid.ts';
import { sweep } from '../../src/jobs/janitor.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { User } from '../../src/user/user.ts';
import { methods, nameOf } from '../support/contract.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { prepareSamples, type Sample, type Samples } from '../support/samples.ts';
import { start, type TestService } from '../support/start.ts';

const env = { AUTO_CONFIRM_EMAIL: 'on', DATABASE_POOL_SIZE: '2' };

test('a replica keeps working when the next version adds a column with a default to every table', async () => {
  const service = await start({ env: { ...(await providerEnv()), ...env } });
  const orm = await openOrm(service.database.url, { poolSize: 2 });
  onTestFinished(() => orm.close(true));
  const sampleOf = await prepareSamples(service);
  expect(await failures(service, sampleOf, orm), 'before').toEqual([]);
  expect(await addColumns(service)).toBeGreaterThan(15);
  expect(await failures(service, sampleOf, orm), 'after').toEqual([]);
  expect(service.ledger.lines.filter((line) => line.includes('background job failed'))).toEqual([]);
});

async function addColumns({ database }: TestService): Promise<number> {
  const tables = await database.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
       and not relispartition and relname <> 'migrations'`,
  );
  for (const { name } of tables)
    await database.query(`alter table "${name}" add column of_the_next_version text not null default 'its default'`);
  return tables.length;
}

/** Calls every method twice, so that statements are prepared on both connections, and returns the calls that fail. */
async function failures(service: TestService, sampleOf: Samples, orm: MikroORM): Promise<string[]> {
  const failed: string[] = [];
  const attempt = (name: string, run: () => Promise<unknown>) =>
    run().catch((error: Error) => failed.push(`${name}: ${error.message}`));
  for (const method of methods)
    for (let time = 0; time < 2; time++)
      await attempt(nameOf(method), async () => call(service, method, await sampleOf(nameOf(method))));
  await attempt('import', () =>
    importUsers(
      orm,
      [
        {
          ...{ user: newcomer(service.now()), hasOwnId: false },
          ...{ identities: [], factors: [], credentials: [], codes: [] },
        },
      ],
      importing,
      service.now(),
    ),
  );
  await attempt('sweep', () => sweep(orm, service.now()));
  const { reason } = await refusalOf(service.clients('grpc').auth.signIn({ ...ada, password: 'a wrong password' }));
  return reason === 'INVALID_CREDENTIALS' ? failed : [...failed, `SignIn refused for ${reason}`];
}

function call(service: TestService, method: DescMethodUnary, { request, headers }: Sample): Promise<unknown> {
  const message = fromJson(method.input, request);
  return service.transport('grpc').unary(method, undefined, undefined, new Headers(headers), message as never);
}

const importing = { context: commandLine('import'), plan: 'pro' };

function newcomer(now: Date): User {
  const email = `imported-${now.getTime()}@example.org`;
  const user = User.register({ email, name: '', projectId: defaultProjectId, passwordHash: null }, now);
  return Object.assign(user, { currentAccountId: uuidv7(now) });
}
