import { describe, expect, onTestFinished, test } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { addToWindow, countHits } from '../../src/throttle/rate-limit-table.ts';
import { createDatabase } from '../support/database.ts';

describe('a counter', () => {
  test.each([
    ['fixed', [1, 2, 1]],
    ['sliding', [1, 2, 3]],
  ] as const)('with a %s window of a minute counts hits at 0, 40 and 70 seconds as %j', async (window, counted) => {
    const { query } = await createDatabase();
    const hits = [];
    for (const second of [0, 40, 70]) {
      const [row] = await query<{ hits: number }>(
        `insert into rate_limits as r (project_id, key, window_ends_at, hits)
         values ($1, 'key', $2::timestamptz + interval '1 minute', 1)
         ${addToWindow(window, '$2')} returning hits`,
        [defaultProjectId, new Date(Date.UTC(2030, 0, 1, 12, 0, second))],
      );
      hits.push(row!.hits);
    }
    expect(hits).toEqual(counted);
  });

  test('stops at the largest integer', async () => {
    const database = await createDatabase();
    const orm = await openOrm(database.url, { poolSize: 1, statementTimeout: 1 });
    onTestFinished(() => orm.close(true));
    const count = (hits: number) =>
      countHits(new Autocommit(orm), { projectId: defaultProjectId, key: 'key', hits }, new Date());
    await count(2_147_483_647);
    expect(await count(1)).toMatchObject({ hits: 2_147_483_647 });
  });
});
