import { type DescMethodUnary, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { methods, nameOf } from '../support/contract.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { startProxy } from '../support/proxy.ts';
import { prepareSamples, type Sample } from '../support/samples.ts';
import { start, type TestService } from '../support/start.ts';

test('the text of a statement contains no value of a request and no data of a user', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, env: { ...(await providerEnv()), AUTO_CONFIRM_EMAIL: 'on' } });
  const sampleOf = await prepareSamples(service);
  const values = new Set<string>();
  for (const method of methods) {
    const sample = await sampleOf(nameOf(method));
    for (const each of stringsIn(sample.request)) values.add(each);
    await call(service, method, sample);
  }
  for (const each of await storedOfUsers(service)) values.add(each);
  expect(values.size).toBeGreaterThan(100);
  const texts = [...new Set(proxy.statements.map(({ text }) => text))];
  expect(texts.filter((text) => text.startsWith('update "users"')).length).toBeGreaterThan(3);
  const found = [...values].flatMap((value) =>
    texts.filter((text) => text.includes(value)).map((text) => [value, text]),
  );
  expect(found).toEqual([]);
});

function call(service: TestService, method: DescMethodUnary, { request, headers }: Sample): Promise<unknown> {
  const message = fromJson(method.input, request);
  return service.transport('grpc').unary(method, undefined, undefined, new Headers(headers), message as never);
}

/** The values of a request, except for words that the contract defines. */
function stringsIn(value: JsonValue): string[] {
  if (typeof value === 'string') return /^[A-Z_]+$|^[a-z_]*$|^\d+s$/.test(value) ? [] : [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(stringsIn);
}

async function storedOfUsers({ database }: TestService): Promise<string[]> {
  const rows = await database.query<{ value: string }>(`
    select distinct value from users u, lateral (values (u.id::text), (u.email), (u.email_key), (u.pending_email), (u.name),
      (u.phone), (u.job_title), (u.timezone), (u.password_hash), (u.created_at::text)) v (value) where length(value) > 5
    union select id::text from sessions union select user_agent from sessions union select recipient from mail_outbox`);
  return rows.map(({ value }) => value);
}
