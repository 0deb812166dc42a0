import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { file_buf_validate_validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';
import { printProto } from './print-proto.ts';

const folder = 'third_party';

/** The npm package that each proto comes from, and where it lies there. */
const copies: Readonly<Record<string, readonly [packageName: string, file: string]>> = {
  'google/rpc/error_details.proto': ['google-proto-files', 'google/rpc/error_details.proto'],
  'google/rpc/status.proto': ['google-proto-files', 'google/rpc/status.proto'],
  'grpc/health/v1/health.proto': ['grpc-health-check', 'proto/health/v1/health.proto'],
  'grpc/reflection/v1/reflection.proto': ['@grpc/reflection', 'build/proto/grpc/reflection/v1/reflection.proto'],
  'grpc/reflection/v1alpha/reflection.proto': [
    '@grpc/reflection',
    'build/proto/grpc/reflection/v1alpha/reflection.proto',
  ],
};
const validation = '@bufbuild/protovalidate';

/** Writes third_party/: the protos of others that ours import or that the service serves, with their licence. */
export function writeThirdParty(): void {
  const wanted = thirdPartyFiles();
  for (const name of findStaleThirdParty()) {
    const target = path.join(folder, name);
    const text = wanted.get(name);
    if (text === undefined) rmSync(target);
    else {
      mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(target, text);
    }
  }
}

/** The files in third_party/ that are missing, superfluous or not what the installed packages hold. */
export function findStaleThirdParty(): string[] {
  const wanted = thirdPartyFiles();
  const present = globSync('**/*', { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  const read = (name: string) => {
    const file = path.join(folder, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  };
  return [...new Set([...wanted.keys(), ...present])].filter((name) => read(name) !== wanted.get(name)).sort();
}

function thirdPartyFiles(): ReadonlyMap<string, string> {
  const copied = Object.entries(copies).map(([name, source]) => [name, readModule(...source)] as const);
  return new Map([
    ...copied,
    ['buf/validate/validate.proto', `${printedFrom()}${printProto(file_buf_validate_validate)}`],
    // All of them are under the Apache License 2.0; this package carries its text.
    ['LICENSE', readModule('google-proto-files', 'LICENSE')],
    ['README.md', describe()],
  ]);
}

function printedFrom(): string {
  return [
    `// Printed from the descriptor in the npm package ${withVersion(validation)}, which carries no source; its comments are`,
    '// at https://buf.build/bufbuild/protovalidate. Copyright Buf Technologies, Inc., under the Apache License 2.0.',
    '\n',
  ].join('\n');
}

function describe(): string {
  const rows = [
    ...Object.entries(copies).map(([name, [packageName]]) => `| \`${name}\` | ${withVersion(packageName)} |`),
    `| \`buf/validate/validate.proto\` | ${withVersion(validation)}, printed from its descriptor |`,
  ];
  return `# Protos of others

Our protos import \`buf/validate/validate.proto\`; the service serves the others. \`npm run generate\` writes this folder from
the installed npm packages, and \`npm run check\` compares it with them. All files are under the Apache License 2.0
([LICENSE](LICENSE)); each carries the copyright notice of its authors.

| File | npm package |
| --- | --- |
${rows.join('\n')}
`;
}

function withVersion(packageName: string): string {
  const { version } = JSON.parse(readModule(packageName, 'package.json')) as { version: string };
  return `${packageName} ${version}`;
}

function readModule(packageName: string, file: string): string {
  return readFileSync(path.join('node_modules', packageName, file), 'utf8');
}
