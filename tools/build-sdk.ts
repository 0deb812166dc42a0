import { execFileSync } from 'node:child_process';
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import packageJson from '../package.json' with { type: 'json' };

/*
 * npm run build:sdk                 builds the npm package of the SDK in dist/
 * npm run build:sdk -- DIRECTORY    builds it there
 *
 * Plain ESM with its types, a package.json with nothing but what the SDK needs, the protos, the licence and docs/sdk.md.
 */
const target = path.resolve(process.argv[2] ?? 'dist');

rmSync(target, { recursive: true, force: true });
compile();
generate();
writeManifest();
cpSync('proto', path.join(target, 'proto'), { recursive: true });
cpSync('LICENSE', path.join(target, 'LICENSE'));
cpSync('docs/sdk.md', path.join(target, 'README.md'));

function compile(): void {
  run('tsc', ['-p', 'tsconfig.sdk.json', '--outDir', target]);
  // The compiler rewrites the extensions of imports in .js, and leaves those in .d.ts alone.
  for (const name of globSync('src/**/*.d.ts', { cwd: target })) {
    const file = path.join(target, name);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/(from '\.[^']*)\.ts'/g, "$1.js'"));
  }
}

/**
 * Replaces the compiler's gen/ by one without field rules and policies. Only the service enforces them: clients would
 * carry them along for nothing, and with them the whole of protovalidate.
 */
function generate(): void {
  const details = ['ErrorInfo', 'BadRequest', 'RetryInfo', 'Status'].map((name) => `google.rpc.${name}`);
  const rules = ['buf.validate', ...['policy', 'Policy', 'Access'].map((name) => `gatehouse.v1.${name}`)];
  const template = {
    version: 'v2',
    clean: true,
    inputs: [
      { directory: 'proto', exclude_types: rules },
      { directory: 'third_party', paths: ['third_party/google/rpc'], types: details },
    ],
    plugins: [
      {
        local: 'node_modules/.bin/protoc-gen-es',
        out: 'gen',
        opt: ['target=js+dts', 'import_extension=js', 'erasable_syntax=true'],
      },
    ],
  };
  run('buf', ['generate', '--template', JSON.stringify(template), '--output', target]);
}

function writeManifest(): void {
  const { name, version, license, dependencies } = packageJson;
  const needed = [
    '@bufbuild/protobuf',
    '@connectrpc/connect',
    '@connectrpc/connect-web',
    '@grpc/grpc-js',
    'jose',
    'uqr',
  ] as const;
  const manifest = {
    name,
    version,
    description: 'Clients for Gatehouse, an authentication microservice: over gRPC in Node, as JSON in browsers.',
    license,
    type: 'module',
    sideEffects: false,
    engines: { node: '>=20' },
    exports: {
      ...Object.fromEntries(
        ['node', 'web', 'cli', 'verify'].map((entry) => [`./${entry}`, entryAt(`./src/sdk/${entry}`)]),
      ),
      './proto/*': './proto/*',
      './package.json': './package.json',
    },
    // Ranges, so that one copy serves the SDK and the application beside it.
    dependencies: Object.fromEntries(needed.map((each) => [each, `^${dependencies[each]}`])),
  };
  writeFileSync(path.join(target, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

function entryAt(file: string) {
  return { types: `${file}.d.ts`, default: `${file}.js` };
}

function run(command: string, args: readonly string[]): void {
  execFileSync(path.join('node_modules/.bin', command), args, { stdio: 'inherit' });
}
