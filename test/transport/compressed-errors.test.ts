import http from 'node:http';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { start } from '../support/start.ts';

test('an error that is large enough to be compressed is the same for clients that take gzip', async () => {
  const service = await start();
  const { httpPort } = service.replicas[0]!;
  const long = 'x'.repeat(2000);
  const path = '/gatehouse.v1.AuthService/Register';
  const body = { email: 'nobody', password: long, name: long, accountInviteCode: long, inviteCode: long };
  const plain = await post(httpPort, path, body, {});
  const zipped = await post(httpPort, path, body, { 'accept-encoding': 'gzip, deflate, br' });
  expect(plain.bytes.length).toBeGreaterThan(1024);
  expect(plain).toMatchObject({ status: 400, encoding: undefined });
  expect(zipped).toMatchObject({ status: 400, encoding: 'gzip' });
  expect(JSON.parse(gunzipSync(zipped.bytes).toString())).toEqual(JSON.parse(plain.bytes.toString()));
  const { code, message, details } = JSON.parse(plain.bytes.toString());
  expect({ code, message }).toEqual({ code: 'invalid_argument', message: 'the request is not valid' });
  expect(details.map(({ type }: { type: string }) => type)).toEqual(['google.rpc.ErrorInfo', 'google.rpc.BadRequest']);
});

test('an error of Connect itself has a reason whatever the client accepts', async () => {
  const service = await start();
  const { httpPort } = service.replicas[0]!;
  const path = '/gatehouse.v1.AuthService/SignIn';
  for (const accept of ['identity', 'gzip', 'gzip, br', '*', '']) {
    const broken = { email: ['x'.repeat(5000)] };
    const { status, encoding, bytes } = await post(httpPort, path, broken, { 'accept-encoding': accept });
    expect({ status, encoding }, accept).toEqual({ status: 400, encoding: undefined });
    const { message } = JSON.parse(bytes.toString());
    expect(message, accept).toBe('the request could not be read: email must be a string of Unicode text');
  }
});

interface Answer {
  readonly status: number;
  readonly encoding: string | undefined;
  readonly bytes: Buffer;
}

/** The answer as it came over the wire. */
function post(port: number, path: string, json: object, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const all = { 'content-type': 'application/json', ...headers };
    const request = http.request({ host: '127.0.0.1', port, method: 'POST', path, headers: all });
    request.on('error', reject);
    request.on('response', async (response) => {
      const bytes = Buffer.concat(await response.toArray());
      resolve({ status: response.statusCode!, encoding: response.headers['content-encoding'], bytes });
    });
    request.end(JSON.stringify(json));
  });
}
