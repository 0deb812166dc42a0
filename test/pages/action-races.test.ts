// @serializable
import { expect, test } from 'vitest';
import { formOf, hrefOf, signInWithApp, submit, withFactor } from '../support/factor-pages.ts';
import { browserOf } from '../support/page.ts';
import { Barrier, crowd, together } from '../support/race.ts';

test('parallel proofs of one action, each with a code of its own, perform it once on two replicas', async () => {
  const barrier = new Barrier('VerifyFactor');
  const prepared = await withFactor(
    { DATABASE_POOL_SIZE: '25', LIMITS: 'MfaService.ChallengeFactor:session=off' },
    { replicas: 2, inner: [barrier.interceptor()] },
  );
  const { service, browser, codes } = prepared;
  const page = await signInWithApp(prepared, '/factors');
  service.pass(700);
  const prompt = await submit(browser, page.text, ['do', 'enroll'], { name: 'tablet' });
  expect(prompt.text).toContain('Add the authenticator app “tablet”');
  const choice = await browser.open(hrefOf(prompt.text, 'recovery code'));
  const { path, fields } = formOf(choice.text, 'code');
  const tabs = Array.from({ length: crowd }, (_, n) => browserOf(service, { replica: n, cookies: browser.cookies }));
  barrier.expect(crowd);
  const { answers } = await together((n) => tabs[n]!.post(path, { ...fields, code: codes[n % codes.length]! }));
  const [used] = await service.database.query<{ count: number }>(
    'select count(*)::int from recovery_codes where used_at is not null',
  );
  expect(used!.count, 'proofs that were right').toBeGreaterThan(1);
  const enrolled = await service.database.query('select id from factors where verified_at is null');
  expect(enrolled).toHaveLength(1);
  const headings = answers.map(({ heading }) => heading);
  expect(headings.filter((each) => each === 'Add an authenticator app')).toHaveLength(1);
  expect(headings.filter((each) => each === 'Nothing was changed')).toHaveLength(used!.count - 1);
});
