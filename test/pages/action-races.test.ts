// @serializable
import { expect, test } from 'vitest';
import { enterPassword, formOf, hrefOf, signInWithApp, submit, withFactor } from '../support/factor-pages.ts';
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

test('a form for recovery codes that is sent many times at once shows one set of codes, which is valid', async () => {
  const barrier = new Barrier('GenerateRecoveryCodes');
  const prepared = await withFactor(
    { DATABASE_POOL_SIZE: '25', LIMITS: 'MfaService.GenerateRecoveryCodes=off' },
    { replicas: 2, inner: [barrier.interceptor()] },
  );
  const { service, browser } = prepared;
  const page = await signInWithApp(prepared, '/factors');
  const { path, fields } = formOf(page.text, 'do', 'codes');
  const tabs = Array.from({ length: crowd }, (_, n) => browserOf(service, { replica: n, cookies: browser.cookies }));
  barrier.expect(crowd);
  const { answers } = await together((n) => tabs[n]!.post(path, fields));
  const codes = answers.flatMap(({ text }) =>
    [...text.matchAll(/<li>([0-9A-Z-]{23})<\/li>/g)].map(([, code]) => code!),
  );
  expect(codes).toHaveLength(10);
  const alerts = answers.map(({ alert }) => alert).filter((each) => each?.includes('were created before'));
  expect(alerts, 'the others say so').toHaveLength(crowd - 1);
  await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
  const prompt = await browser.open(hrefOf((await enterPassword(browser)).text, 'recovery code'));
  expect((await submit(browser, prompt.text, ['code'], { code: codes[0]! })).heading).toBe('Your devices');
});
