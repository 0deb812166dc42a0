import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { methods, nameOf, pathOf } from '../support/contract.ts';
import { reasonsOf } from '../support/documented-reasons.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { bob, serviceKey } from '../support/people.ts';
import { prepareSamples } from '../support/samples.ts';
import { start } from '../support/start.ts';

const api = readFileSync('docs/api.md', 'utf8');
const hasCurl = spawnSync('curl', ['--version']).status === 0;
if (!hasCurl) console.warn('NOT TRIED: the requests of docs/api.md, because there is no curl on this machine');

test.runIf(hasCurl)('every request of docs/api.md is one that its method takes', async () => {
  const service = await start();
  const { as } = await service.welcome();
  const operator = await service.operator();
  // SignOut and ChangePassword end the access token of the others, so they come last. DeleteMe gets one of another user.
  const last = ['SessionService.SignOut', 'AuthService.ChangePassword', 'AuthService.DeleteMe'];
  const names = methods.map(nameOf).sort((a, b) => last.indexOf(a) - last.indexOf(b));
  const { as: asBob } = await service.welcome(bob);
  const script = names.map((each) => `${/DeleteMe$/.test(each) ? 'access=$toDelete\n' : ''}${exampleOf(each, 'sh')}`);
  const responses = await run(script.join('\n'), {
    api: `http://127.0.0.1:${service.replicas[0]!.httpPort}/gatehouse.v1`,
    json: 'content-type: application/json',
    access: tokenOf(as),
    toDelete: tokenOf(asBob),
    operator: tokenOf(operator.as),
    service: serviceKey,
  });
  expect(responses).toHaveLength(names.length);
  for (const [index, { status, text }] of responses.entries()) {
    if (status === 200) continue;
    // What the request names need not exist: a refusal of the method's own shows that it was read.
    const { reason } = JSON.parse(text).details[0].debug;
    expect([...reasonsOf(names[index]!)], names[index]).toContain(reason);
    expect(reason, names[index]).not.toMatch(
      /^(INVALID_ARGUMENT|MALFORMED_REQUEST)$|^TOKEN_|AUTHENTICATION|NOT_ALLOWED/,
    );
  }
  // The others name something that has to be created first: a factor, a link in a mail, a provider.
  expect(responses.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(39);
});

test('every response of docs/api.md has the fields of one that the service returns', async () => {
  const service = await start({ env: await providerEnv() });
  const sampleOf = await prepareSamples(service);
  for (const method of methods) {
    const { request, headers } = await sampleOf(nameOf(method));
    const response = await fetch(`http://127.0.0.1:${service.replicas[0]!.httpPort}${pathOf(method)}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(request),
    });
    expect(response.status, nameOf(method)).toBe(200);
    const returned = fieldsOf((await response.json()) as object);
    const shown = fieldsOf(JSON.parse(exampleOf(nameOf(method), 'json')) as object);
    expect(shown, nameOf(method)).toEqual(returned);
  }
});

/** Those that are in every response. A page may be the last one, and nobody may have redeemed a code yet. */
function fieldsOf(response: object): string[] {
  return Object.keys(response)
    .filter((each) => each !== 'nextPageToken' && each !== 'count')
    .sort();
}

/** The request, as a script, or the response in the section of a method. */
function exampleOf(name: string, language: 'sh' | 'json'): string {
  const [, section = ''] = api.split(`\n### ${name}\n`);
  const [, block] = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(section.split(/\n##+ /)[0]!) ?? [];
  return block ?? expect.fail(`docs/api.md has no example of ${name}`);
}

/** Runs a script of calls, and returns the response of each. */
async function run(script: string, env: Record<string, string>): Promise<{ text: string; status: number }[]> {
  const wrapped = `curl() { command curl --write-out '\\n%{http_code}\\n' "$@"; }\n${script}`;
  const { stdout } = await promisify(execFile)('bash', ['-c', wrapped], { env: { PATH: process.env.PATH!, ...env } });
  return [...stdout.matchAll(/^(.*)\n(\d{3})\n/gm)].map(([, text = '', status]) => ({ text, status: Number(status) }));
}

function tokenOf({ headers }: { headers: { authorization: string } }): string {
  return headers.authorization.replace('Bearer ', '');
}
