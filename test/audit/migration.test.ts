import { expect, onTestFinished, test } from 'vitest';
import { sealEvents } from '../../src/audit/seal.ts';
import { verifyTrail } from '../../src/audit/verify.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { migrate } from '../../src/database/migrate.ts';
import { openOrm } from '../../src/database/orm.ts';
import { createDatabase } from '../support/database.ts';

const before = 'Migration20261129090000_sweeps';

test('the events of a release whose seals had no version are sealed anew', async () => {
  const { query, url } = await createDatabase();
  await query('drop schema public cascade');
  await query('create schema public');
  const orm = await openOrm(url, { statementTimeout: 0 });
  onTestFinished(() => orm.close(true));
  await orm.migrator.up({ to: before });
  await query(`insert into projects (id, slug, created_at) values ('00000000-0000-7000-8000-000000000001', 'default', now())
    on conflict do nothing`);
  await query(`insert into audit_events (id, project_id, at, action, result, actor_kind, address, user_agent, request_id)
    select gen_random_uuid(), id, now(), 'auth.login', 'SUCCESS', 'anyone', '', '', '' from projects, generate_series(1, 3)`);
  await query('delete from audit_unsealed where id = (select id from audit_unsealed limit 1)');
  await query(`insert into audit_seals (project_id, sequence, day, first_at, last_at, event_count, events, previous_hash, hash, key_id, sealed_at)
    select id, 1, now(), now(), now(), 1, '', '', '', 'k1', now() from projects`);
  await migrate(orm);
  const keys = new MasterKeys([{ id: 'k1', key: Buffer.alloc(32, 1) }]);
  expect(await sealEvents(orm, keys, new Date())).toBe(3);
  const [chain] = await verifyTrail(orm, { keys });
  expect(chain).toMatchObject({ events: 3, total: 3, sequence: 1, unsealed: 0 });
  expect(chain!.fault).toBeUndefined();
  expect(await query('select distinct entity_type, entity_id from audit_events')).toEqual([
    { entity_type: '', entity_id: null },
  ]);
});
