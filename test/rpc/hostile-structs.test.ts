import { describe, expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { send } from '../support/raw-http.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const json = { 'content-type': 'application/json' };
const stored = 'select user_metadata as "userMetadata" from users';

/** Registers a user through `/auth/v1` with this metadata. */
function signUp(port: number, data: string) {
  const body = `{"email":"bob@example.org","password":"an analytical mind","data":{"a":${data}}}`;
  return send(port, { path: '/auth/v1/signup', headers: json, body });
}

test('numbers that JSON cannot hold are refused in metadata, and nothing is stored', async () => {
  const service = await start();
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const port = service.replicas[0]!.httpPort;
  const headers = { ...json, ...as.headers };
  for (const value of ['1e400', '-1e400', '[1e400]', '{"b":1e400}']) {
    const body = `{"userMetadata":{"a":${value}}}`;
    const native = await send(port, { path: '/gatehouse.v1.AuthService/UpdateMe', headers, body });
    expect([native.status, native.reason, native.fields], value).toEqual([400, 'INVALID_ARGUMENT', ['user_metadata']]);
    const compatible = await signUp(port, value);
    expect([compatible.status, compatible.json.error_code], value).toEqual([400, 'validation_failed']);
  }
  const { auth } = service.clients('grpc');
  for (const a of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
    expect((await refusalOf(auth.updateMe({ userMetadata: { a } }, as))).reason).toBe('INVALID_ARGUMENT');
  expect(await service.database.query(stored)).toEqual([{ userMetadata: {} }]);
});

test('metadata of thousands of levels is refused on /auth/v1 too', async () => {
  const service = await start();
  const port = service.replicas[0]!.httpPort;
  for (const [open, close] of ['{"a": }', '[ ]'].map((each) => each.split(' '))) {
    const answer = await signUp(port, `${open!.repeat(9000)}1${close!.repeat(9000)}`);
    expect([answer.status, answer.json.error_code]).toEqual([400, 'validation_failed']);
  }
  expect(await service.database.query(stored)).toEqual([]);
});

describe.each(wires)('over %s', (wire) => {
  test('the error of a request with thousands of bad values is short', async () => {
    const service = await start();
    const { devices, auth } = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const bad = Array(6000).fill('\u0001');
    const field = (call: Promise<unknown>) => refusalOf(call).then(({ reason, fields }) => [reason, fields]);
    const refusals = [
      await field(devices.createApiKey({ name: 'a program', scopes: bad }, as)),
      await field(auth.updateMe({ userMetadata: { a: bad } }, as)),
    ];
    expect(refusals).toEqual([
      ['INVALID_ARGUMENT', ['scopes']],
      ['INVALID_ARGUMENT', ['user_metadata']],
    ]);
    const many = Array.from({ length: 900 }, (_, n) => `Nothing${n}`);
    const refusal = await refusalOf(devices.createApiKey({ name: 'a program', scopes: many }, as));
    expect(refusal.reason).toBe('INVALID_ARGUMENT');
    expect(refusal.fields).toEqual(['scopes']);
  });
});
