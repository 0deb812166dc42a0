import { expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { ada, testEnv } from '../support/people.ts';
import { run, serve } from '../support/process.ts';

const { MASTER_KEYS } = testEnv;

test('the tables are in the schema that the URL names, and later starts find them there', async () => {
  const { url, query } = await createDatabase();
  await query('create schema auth');
  const DATABASE_URL = `${url}${url.includes('?') ? '&' : '?'}options=-c%20search_path%3Dauth`;
  for (let start = 0; start < 2; start++)
    expect(await run(['migrate'], { DATABASE_URL, MASTER_KEYS })).toMatchObject({ code: 0, stderr: '' });
  const { clients } = await serve({ DATABASE_URL, MASTER_KEYS, AUTO_CONFIRM_EMAIL: 'on' });
  await clients.json.auth.register(ada);
  await clients.grpc.auth.signIn(ada);
  expect(await query('select email from auth.users')).toEqual([{ email: ada.email }]);
  expect(await query('select email from public.users')).toEqual([]);
});
