import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { SettingNameSchema } from '../../gen/gatehouse/v1/admin_pb.ts';
import { readConfig } from '../../src/config/config.ts';
import { ada, asService, testEnv } from '../support/people.ts';
import { type RawRequest, send } from '../support/raw-http.ts';
import { start, type TestService } from '../support/start.ts';

const signIn = '/gatehouse.v1.AuthService/SignIn';
const signUpAnonymous = '/gatehouse.v1.AuthService/SignUpAnonymous';
const updateSettings = '/gatehouse.v1.AdminService/UpdateSettings';
const updateUser = '/gatehouse.v1.AdminService/UpdateUser';
const listSessions = '/gatehouse.v1.SessionService/ListSessions';
const kinds = ['UNSPECIFIED', 'WEB', 'NATIVE', 'CLI', 'DEVICE', 'SERVICE']
  .map((each) => `SESSION_KIND_${each}`)
  .join(', ');
const settingNames = SettingNameSchema.values.map(({ name }) => name).join(', ');
const ignoring = { JSON_UNKNOWN_FIELDS: 'ignore' };
const secret = 'kestrel-4711';

test('a request that cannot be read is answered with the path and what is wrong there, and no value of it', async () => {
  const service = await start();
  const ask = asker(service);
  const json = (path: string, body: unknown) => ask({ path, body: JSON.stringify(body), ...asService });
  const raw = (body: string | Buffer, headers = {}) => ask({ path: signIn, body, headers });
  const get = (path: string, query: string) => ask({ method: 'GET', path: `${path}?${query}`, ...asService });
  const said: [answer: Promise<string>, detail: string][] = [
    [json(signIn, { nope: secret }), 'nope is not a field of SignInRequest'],
    [json(signIn, { [secret]: 1 }), '? is not a field of SignInRequest'],
    [json(updateSettings, { settings: { signUpp: true } }), 'settings.signUpp is not a field of ProjectSettings'],
    [json(signIn, { kind: 'WEB' }), `kind: WEB is not one of ${kinds}`],
    [json(signIn, { kind: secret }), `kind must be one of ${kinds}`],
    [json(signIn, { kind: [secret] }), `kind must be one of ${kinds}`],
    [json(signIn, { email: 'x', password: [secret] }), 'password must be a string of Unicode text'],
    [json(updateSettings, { settings: { signUp: secret } }), 'settings.sign_up must be true or false'],
    [json(updateUser, { userId: 7 }), 'user_id must be a string of Unicode text'],
    [json(updateSettings, { reset: [1, [secret]] }), `reset[1] must be one of ${settingNames}`],
    [json(updateUser, { appMetadata: [secret] }), 'app_metadata must be an object, nested less than 100 levels deep'],
    [json(updateUser, { userId: secret, user_id: secret }), 'user_id is set twice'],
    [json(signIn, [secret]), 'the body must be an object with the fields of SignInRequest'],
    [raw(`{"email":"a","email":"${secret}"}`), 'the body: a field is set twice'],
    [raw(' '), 'the body is empty, an empty message is {}'],
    [raw(`{"email": ${secret}}`), 'the body is not JSON'],
    [raw(`{"email": "${secret}"`), 'the body is not JSON at position 24'],
    [raw(secret, { 'content-encoding': 'gzip' }), 'the body is not in gzip'],
    [raw(gzipSync(`{"nope":1}`), { 'content-encoding': 'gzip' }), 'nope is not a field of SignInRequest'],
    [raw('{}', { 'connect-timeout-ms': '1s' }), 'connect-timeout-ms is not a number of at most 10 digits'],
    [
      raw(`{"email":"${secret}"}`, { 'content-type': 'application/proto' }),
      'the body is not a SignInRequest in protobuf; for JSON send content-type: application/json',
    ],
    [get(listSessions, 'encoding=json&message={"nope":1}'), 'nope is not a field of ListSessionsRequest'],
    [get(listSessions, `encoding=json&message=${secret}`), 'the parameter message is not JSON'],
    [get(listSessions, 'encoding=json&base64=1&message=*'), 'the parameter message is not base64'],
    [
      get(listSessions, `encoding=json&base64=1&message=${Buffer.from('{"pageSize":"x"}').toString('base64url')}`),
      'page_size must be a whole number in the range of its type',
    ],
    [get(listSessions, 'encoding=json&compression=gzip&message={}'), 'the parameter message is not in gzip'],
    [ask({ path: signIn, body: '{}', headers: { host: 'a b' } }), 'the Host header is not a host'],
  ];
  for (const [answer, detail] of said)
    expect(await answer).toBe(`MALFORMED_REQUEST the request could not be read: ${detail}`);
  expect(await raw(''), 'no body is an empty message').toBe('INVALID_ARGUMENT the request is not valid');
  const encoding = 'ENCODING_NOT_SUPPORTED the encoding is not supported';
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', '', 'application/json; charset=latin1'])
    expect(await raw('{}', { 'content-type': type }), type).toBe(`${encoding}: send content-type: application/json`);
  expect(await raw('{}', { 'content-encoding': 'br' })).toBe(`${encoding}: compress with gzip or not at all`);
  expect(await get(listSessions, 'message={}')).toBe(`${encoding}: use the parameter encoding=json`);
  expect(await get(signIn, 'encoding=json&message={}')).toBe('METHOD_NOT_FOUND no such method: use POST');
});

test('all unknown names are reported as fields, the first one in the sentence as well', async () => {
  const service = await start();
  const body = JSON.stringify({ nope: 1, kind: 'WEB', none: 2 });
  const { fields, json } = await send(portOf(service), { path: signIn, body });
  expect(fields).toEqual(['nope', 'kind', 'none']);
  expect(json.message).toContain('nope is not a field');
});

test('where unknown fields are ignored they change nothing, and an unknown name of an enum is refused all the same', async () => {
  const service = await start({ env: ignoring });
  await service.welcome();
  const port = portOf(service);
  const post = (path: string, body: object) => send(port, { path, body: JSON.stringify(body), ...asService });
  const credentials = { email: ada.email, password: ada.password };
  expect(await post(signIn, { ...credentials, nope: { deep: [1] } })).toMatchObject({ status: 200 });
  expect(await post(updateSettings, { settings: { signUpp: true } })).toMatchObject({ status: 200 });
  expect((await send(port, { method: 'GET', path: `${listSessions}?encoding=json&message={"nope":1}` })).reason).toBe(
    'AUTHENTICATION_REQUIRED',
  );
  for (const kind of ['WEB', 'SESSION_KIND_NOPE', '', '1'])
    for (const path of [signIn, signUpAnonymous])
      expect(await post(path, { ...credentials, kind }), kind).toMatchObject({
        status: 400,
        reason: 'MALFORMED_REQUEST',
        fields: ['kind'],
      });
  const zipped = gzipSync(JSON.stringify({ kind: 'WEB' }));
  const headers = { 'content-encoding': 'gzip' };
  expect(await send(port, { path: signUpAnonymous, body: zipped, headers })).toMatchObject({ fields: ['kind'] });
});

test('unknown fields are refused outside production and ignored in it, unless the setting says otherwise', () => {
  const production = { NODE_ENV: 'production', PUBLIC_URL: 'https://auth.example', MAIL_MODE: 'off' };
  const cases: [env: Record<string, string>, refuses: boolean][] = [
    [{}, true],
    [{ NODE_ENV: 'development' }, true],
    [{ JSON_UNKNOWN_FIELDS: 'ignore' }, false],
    [{ ...production, PASSWORD_HASH_COST: 'm=19456,t=2,p=1' }, false],
    [{ ...production, PASSWORD_HASH_COST: 'm=19456,t=2,p=1', JSON_UNKNOWN_FIELDS: 'refuse' }, true],
  ];
  for (const [env, refuses] of cases)
    expect(readConfig({ ...testEnv, ...env }).config.refusesUnknownFields, JSON.stringify(env)).toBe(refuses);
  expect(() => readConfig({ ...testEnv, JSON_UNKNOWN_FIELDS: 'maybe' })).toThrow('JSON_UNKNOWN_FIELDS');
});

test('false, 0 and empty values are in JSON answers: a plain client sees all that there is', async () => {
  const service = await start({ env: { USAGE: 'on' } });
  const { as } = await service.welcome();
  const ask = async (path: string, body: object = {}) =>
    (await send(portOf(service), { path: `/gatehouse.v1.${path}`, body: JSON.stringify(body), ...as })).json;
  const settings = await ask('AuthService/GetSettings');
  expect(Object.entries(settings.external)).toEqual(
    ['google', 'github', 'azure', 'gitlab', 'bitbucket', 'discord'].map((name) => [name, false]),
  );
  expect(settings).toMatchObject({ disableSignup: false, smsProvider: '', mfaEnabled: true });
  const { user, account } = await ask('AuthService/SignIn', { email: ada.email, password: ada.password });
  expect(account.usage).toMatchObject({ usage: '0', subscriptionActive: false });
  expect(user).toMatchObject({ emailVerified: false, isAnonymous: false, pendingEmail: '' });
  expect(user, 'absent is still absent').not.toHaveProperty('bannedUntilTime');
  const { invites, nextPageToken } = await ask('AccountService/ListAccountInvites', { accountId: account.account.id });
  expect({ invites, nextPageToken }).toEqual({ invites: [], nextPageToken: '' });
});

/** Sends a request and returns the reason and the sentence of its refusal. */
function asker(service: TestService) {
  return async (request: RawRequest): Promise<string> => {
    const answer = await send(portOf(service), request);
    expect(answer.text).not.toContain(secret);
    return `${answer.reason} ${answer.json.message}`;
  };
}

function portOf({ replicas }: TestService): number {
  return replicas[0]!.httpPort;
}
