import { expect, test } from 'vitest';
import { mayActAt } from '../../src/user/user.ts';
import { ada, asService } from '../support/people.ts';
import { start } from '../support/start.ts';

test('mayActAt is true for a user who exists and is neither deleted nor banned at the time', async () => {
  const service = await start();
  const { user } = await service.clients('json').admin.createUser(ada, asService);
  const now = '2030-01-01T12:00:00Z';
  const mayAct = async (state: { deleted_at?: string; banned_until?: string } = {}, id = user!.id) => {
    const { deleted_at = null, banned_until = null } = state;
    await service.database.query('update users set deleted_at = $1, banned_until = $2', [deleted_at, banned_until]);
    const [row] = await service.database.query<{ yes: boolean }>(
      `select ${mayActAt('u', '$1')} as yes from (select 1) one left join users u on u.id = $2`,
      [now, id],
    );
    return row!.yes;
  };
  expect(await mayAct()).toBe(true);
  expect(await mayAct({ banned_until: '2030-01-01T12:00:01Z' }), 'banned').toBe(false);
  expect(await mayAct({ banned_until: now }), 'the ban ends now').toBe(true);
  expect(await mayAct({ deleted_at: '2029-01-01T00:00:00Z' }), 'deleted').toBe(false);
  expect(await mayAct({}, '00000000-0000-0000-0000-000000000000'), 'does not exist').toBe(false);
});
