import { existsSync, globSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { publint } from 'publint';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { ada, serviceKey } from '../support/people.ts';
import { start } from '../support/start.ts';
import { type Consumer, installPackage, run } from './install-package.ts';

let consumer: Consumer;

beforeAll(async () => {
  consumer = await installPackage();
  await Promise.all([compile('backend'), compile('page')]);
});

afterAll(() => consumer?.remove());

const compile = (project: string, ...options: string[]) =>
  run('tsc', ['-p', `tsconfig.${project}.json`, ...options], consumer.app);

/** The installed versions of Node that a consumer may have. */
const nodes = [process.execPath, '/usr/bin/node', '/usr/local/bin/node'].filter((each) => existsSync(each));

describe('the package', () => {
  test('contains the SDK, the protos, the licence and its documentation, and is small', () => {
    const files = globSync('**/*', { cwd: consumer.installed }).filter((each) => path.extname(each) !== '');
    const places = new Set(files.map((each) => path.dirname(each).split('/').slice(0, 2).join('/')));
    expect([...places].sort()).toEqual(['.', 'gen/gatehouse', 'gen/google', 'proto/gatehouse', 'src/grpc', 'src/sdk']);
    expect(files.filter((each) => each.startsWith('src/grpc/'))).toEqual(
      ['d.ts', 'js'].map((each) => `src/grpc/metadata.${each}`),
    );
    expect(existsSync(path.join(consumer.installed, 'LICENSE'))).toBe(true);
    expect(readFileSync(path.join(consumer.installed, 'README.md'), 'utf8')).toMatch(/^# The SDK$/m);
    // Two thirds are the contract: its services in protos, types and code.
    expect(statSync(consumer.tarball).size).toBeLessThan(200_000);
  });

  test('depends on six packages, in ranges that begin with the versions tested here', () => {
    const names = [
      '@bufbuild/protobuf',
      '@connectrpc/connect',
      '@connectrpc/connect-web',
      '@grpc/grpc-js',
      'jose',
      'uqr',
    ] as const;
    const { dependencies } = packageJson;
    expect(consumer.manifest).toMatchObject({ name: packageJson.name, version: packageJson.version, type: 'module' });
    expect(consumer.manifest.dependencies).toEqual(
      Object.fromEntries(names.map((each) => [each, `^${dependencies[each]}`])),
    );
  });

  test('contains no field rules and no policies', () => {
    const code = globSync('**/*.js', { cwd: consumer.installed }).map((each) =>
      readFileSync(path.join(consumer.installed, each), 'utf8'),
    );
    expect(code.filter((each) => /protovalidate|PolicySchema/.test(each))).toEqual([]);
  });

  test('passes publint, and its types pass Are The Types Wrong', async () => {
    const { messages } = await publint({ pkgDir: consumer.installed, pack: false, strict: true });
    expect(messages).toEqual([]);
    await run('attw', [consumer.tarball, '--profile', 'esm-only', '--no-color']);
  });
});

describe('a backend', () => {
  test('compiles, also with the types of libraries checked', async () => {
    await compile('backend', '--noEmit', '--skipLibCheck', 'false', '--lib', 'es2022,dom');
  });

  test.each(nodes)('runs on %s, and exits by itself', async (node) => {
    const { replicas } = await start();
    const args = ['built/backend.js', `localhost:${replicas[0]!.grpcPort}`, serviceKey];
    expect(JSON.parse(await run(node, args, consumer.app))).toEqual({
      isSameUser: true,
      seconds: 3600,
      refused: 'SESSION_REVOKED',
    });
  });
});

describe('a page', () => {
  test('is one bundle without Node modules, and works without Node', async () => {
    const { code, imports, modules } = await bundle('built/page.js');
    expect(imports).toEqual([]);
    expect(modules.filter((each) => /@grpc|protovalidate|^node:/.test(each))).toEqual([]);
    expect(code).not.toMatch(/['"]node:|\brequire\(/);
    expect(code.length).toBeLessThan(200_000);
    const { replicas } = await start();
    const { visit } = await load('bundle.js');
    expect(await visit!(`http://127.0.0.1:${replicas[0]!.httpPort}`)).toEqual({
      isListed: true,
      fields: ['email'],
      refused: 'INVALID_CREDENTIALS',
      isUnreached: true,
    });
  });
});

describe('the code of docs/sdk.md', () => {
  test('compiles and does what the text says', async () => {
    const service = await start();
    const { grpcPort, httpPort } = service.replicas[0]!;
    const [backend, confirmed, page] = readExamples((text) =>
      text
        .replace('localhost:50051', `127.0.0.1:${grpcPort}`)
        .replace('https://auth.example.org', `http://127.0.0.1:${httpPort}`)
        .replaceAll('process.env.GATEHOUSE_KEY', `String('${serviceKey}')`),
    );
    const { userOf, emailOf } = await compileExample('backend', backend!);
    const { isConfirmed } = await compileExample('backend', confirmed!, 'example-confirmed');
    expect(await isConfirmed!('no proof', '', '')).toBe(false);
    const { signIn } = await compileExample('page', page!);
    const { user, tokens } = await service.welcome();
    expect(await userOf!(tokens.accessToken)).toBe(user.id);
    expect(await userOf!('another')).toBeUndefined();
    expect(await emailOf!(user.id)).toBe(ada.email);
    expect(await emailOf!(crypto.randomUUID())).toBeUndefined();
    expect(await signIn!(ada.email, ada.password)).toBe('Welcome, Ada.');
    expect(await signIn!(ada.email, 'wrong')).toBe('No such account, or another password.');
    expect(await signIn!('', 'wrong')).toMatch(/^email: .+/);
  });
});

/** The globals of Node, which are hidden from the bundle. */
const intro = 'const [process, Buffer, global, require, setImmediate] = [];';

async function bundle(input: string) {
  const bundle = await rolldown({ input, cwd: consumer.app, platform: 'browser' });
  const file = path.join(consumer.app, 'bundle.js');
  const { output } = await bundle.write({ file, format: 'esm', minify: true, intro });
  await bundle.close();
  const [{ code, imports, moduleIds }] = output;
  return { code, imports, modules: moduleIds };
}

function readExamples(adapt: (text: string) => string): string[] {
  const blocks = readFileSync('docs/sdk.md', 'utf8').matchAll(/^```ts\n(.*?)^```$/gms);
  return [...blocks].map((each) => adapt(each[1]!));
}

/** Compiles an example as that project would, and returns its exports. */
async function compileExample(project: string, text: string, name = `example-${project}`) {
  const settings = JSON.parse(readFileSync(path.join(consumer.app, `tsconfig.${project}.json`), 'utf8'));
  writeFileSync(path.join(consumer.app, `${name}.ts`), text);
  writeFileSync(
    path.join(consumer.app, `tsconfig.${name}.json`),
    JSON.stringify({ ...settings, files: [`${name}.ts`] }),
  );
  await compile(name);
  return load(`built/${name}.js`);
}

async function load(file: string) {
  const { href } = pathToFileURL(path.join(consumer.app, file));
  return (await import(/* @vite-ignore */ href)) as Record<string, (...args: string[]) => Promise<unknown>>;
}
