import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { deviceFlow } from './device-flow.ts';
import { type StartOptions, start } from './start.ts';

export const clientSecret = 'the secret of a build server';
export const oauthEnv = {
  OAUTH_CLIENTS: `tv,other,build:${createHash('sha256').update(clientSecret).digest('hex')}`,
};
export const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';

const ada = { email: 'ada@example.org', password: 'a difference engine', name: 'Ada', emailVerified: true };

/** A service with OAuth clients, ada, and forms that are sent to a replica. */
export async function startOAuth(options: StartOptions = {}) {
  const service = await start({ ...options, env: { ...oauthEnv, ...options.env } });
  const { as, user } = await service.welcome(ada);
  const urlOf = (path: string, replica = 0) =>
    `http://127.0.0.1:${service.replicas[replica % service.replicas.length]!.httpPort}${path}`;
  const post = async (
    path: string,
    form: Record<string, string> | [string, string][] | string,
    { headers = {}, replica = 0 }: { headers?: Record<string, string>; replica?: number } = {},
  ) => {
    const body = typeof form === 'string' ? form : new URLSearchParams(form).toString();
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await fetch(urlOf(path, replica), { method: 'POST', headers: { ...type, ...headers }, body });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : undefined };
  };
  const authorize = async (clientId = 'tv') =>
    (await post('/oauth2/device_authorization', { client_id: clientId })).body;
  const redeem = (deviceCode: string, { clientId = 'tv', replica = 0 } = {}) =>
    post('/oauth2/token', { grant_type: deviceGrant, client_id: clientId, device_code: deviceCode }, { replica });
  /** A session of a client that the user has approved. */
  const signIn = async () => {
    const { device_code, user_code } = await authorize();
    await service.clients('json').devices.approveDevice({ userCode: user_code }, as);
    return (await redeem(device_code)).body as { access_token: string; refresh_token: string };
  };
  return { ...deviceFlow(service, 'json'), service, as, user, urlOf, post, authorize, redeem, signIn };
}

/** Fetches what a library asks of the public address from a replica instead. */
export function fetchFrom(port: (url: string) => number) {
  return async (url: string, { method, headers, body }: RequestInit = {}): Promise<Response> => {
    const { pathname, search } = new URL(url);
    const sent = new Headers(headers);
    return new Promise((resolve, reject) => {
      const options = { port: port(url), path: pathname + search, method, headers: Object.fromEntries(sent) };
      const call = request({ host: '127.0.0.1', ...options }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('end', () => {
          const head = { status: answer.statusCode!, headers: new Headers(answer.headers as Record<string, string>) };
          resolve(new Response(Buffer.concat(parts), head));
        });
      });
      call.on('error', reject).end(body === undefined || body === null ? undefined : String(body));
    });
  };
}
