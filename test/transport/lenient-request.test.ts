import { expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { RawConnection, send } from '../support/raw-http.ts';
import { start, type TestService } from '../support/start.ts';

const getMe = '/gatehouse.v1.AuthService/GetMe';
const signIn = '/gatehouse.v1.AuthService/SignIn';
const portOf = (service: TestService) => service.replicas[0]!.httpPort;

test('two Host headers make a request malformed, whichever they are', async () => {
  const service = await start();
  for (const second of ['Host: gatehouse.test', 'host: evil.example', 'HOST:'])
    for (const path of [getMe, '/livez', '/.well-known/jwks.json']) {
      const connection = await RawConnection.open(portOf(service));
      const lines = ['Host: gatehouse.test', second, 'content-type: application/json', 'content-length: 2'];
      connection.write(`POST ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\nconnection: close\r\n\r\n{}`);
      const { received } = await connection.end(2000);
      expect(received, `${second} ${path}`).toMatch(/^HTTP\/1\.1 400 /);
      expect(received).toContain('invalid_argument');
    }
});

test('a quoted charset is read, and no body is an empty message', async () => {
  const service = await start();
  const { as } = await service.welcome();
  const post = (path: string, type: string, body: string) =>
    send(portOf(service), { path, body, headers: { ...as.headers, 'content-type': type } });
  for (const type of ['application/json; charset="utf-8"', 'application/json;charset="UTF-8"', 'application/json'])
    for (const body of ['{}', '']) expect((await post(getMe, type, body)).json?.user?.email, type).toBe(ada.email);
  expect(await post(signIn, 'application/json', '')).toMatchObject({ status: 400, reason: 'INVALID_ARGUMENT' });
  for (const type of [
    'application/json; charset="latin1"',
    'text/plain; charset="utf-8"',
    'application/json; charset="utf-8',
  ])
    expect((await post(getMe, type, '{}')).status, type).toBe(415);
});
