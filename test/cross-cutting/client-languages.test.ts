import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';

/*
 * A program in another language is built from what git holds: the protos of the contract and those they import. Needed
 * beside buf: `pip install grpcio-tools`, which brings protoc, and for Go
 * `go install google.golang.org/protobuf/cmd/protoc-gen-go@latest`.
 */
const env = { ...process.env, PATH: [process.env.PATH, path.join(homedir(), 'go/bin')].join(path.delimiter) };
const clone = mkdtempSync(path.join(tmpdir(), 'gatehouse-clone-'));
for (const file of trackedFiles()) cpSync(file, path.join(clone, file));
afterAll(() => rm(clone, { recursive: true }));

const protos = globSync('gatehouse/v1/*.proto', { cwd: path.join(clone, 'proto') });
const imported = 'buf/validate/validate.proto';

const protoc = [['protoc'], ['python3', '-m', 'grpc_tools.protoc']].find((command) => works([...command, '--version']));
const hasPython = works(['python3', '-m', 'grpc_tools.protoc', '--version']);
const hasGo = works(['go', 'version']) && works(['protoc-gen-go', '--version']);
if (!protoc || !hasPython) console.warn('NOT TRIED: the protos in Python, because grpcio-tools is not on this machine');
if (!protoc || !hasGo)
  console.warn('NOT TRIED: the protos in Go, because go, protoc-gen-go or protoc is not on this machine');

test('buf builds the protos of a fresh clone', () => {
  expect(protos.length).toBeGreaterThan(5);
  run([path.resolve('node_modules/.bin/buf'), 'build']);
});

test.runIf(protoc && hasPython)('protoc makes Python of them, which runs', () => {
  mkdirSync(path.join(clone, 'python'));
  compile(
    ['--python_out=python', '--grpc_python_out=python'],
    [...protos, imported],
    ['python3', '-m', 'grpc_tools.protoc'],
  );
  const program = `
from gatehouse.v1 import auth_pb2, auth_pb2_grpc, policy_pb2
sent = auth_pb2.SignInRequest(email="ada@example.org", password="a difference engine").SerializeToString()
method = auth_pb2.DESCRIPTOR.services_by_name["AuthService"].methods_by_name["SignIn"]
print(auth_pb2.SignInRequest.FromString(sent).email, auth_pb2_grpc.AuthServiceStub.__name__)
print(policy_pb2.Access.Name(method.GetOptions().Extensions[policy_pb2.policy].access))`;
  const printed = run(['python3', '-c', program], path.join(clone, 'python'));
  expect(printed).toBe('ada@example.org AuthServiceStub\nACCESS_PUBLIC\n');
});

test.runIf(protoc && hasGo)('protoc makes Go of them, which runs', { timeout: 300_000 }, () => {
  const ownModule = 'github.com/gatehouse/gatehouse';
  const options = ['--go_out=.', `--go_opt=module=${ownModule}`, `--go_opt=M${imported}=${ownModule}/gen/go/validate`];
  compile(options, [...protos, imported], protoc!);
  const [, version] = /v([\d.]+)/.exec(run(['protoc-gen-go', '--version']))!;
  writeFileSync(
    path.join(clone, 'go.mod'),
    `module ${ownModule}\n\ngo 1.23\n\nrequire google.golang.org/protobuf v${version}\n`,
  );
  writeFileSync(
    path.join(clone, 'main.go'),
    `package main

import (
	gatehousev1 "${ownModule}/gen/go/gatehouse/v1"
	"google.golang.org/protobuf/proto"
)

func main() {
	sent, _ := proto.Marshal(&gatehousev1.SignInRequest{Email: "ada@example.org"})
	var read gatehousev1.SignInRequest
	if err := proto.Unmarshal(sent, &read); err != nil {
		panic(err)
	}
	print(read.GetEmail())
}
`,
  );
  const { stderr, status } = spawnSync('go', ['run', '.'], { cwd: clone, env: { ...env, GOFLAGS: '-mod=mod' } });
  expect([status, stderr.toString()]).toEqual([0, 'ada@example.org']);
});

test('Java and C# find their packages in the protos', () => {
  for (const each of protos) {
    const text = readFileSync(path.join(clone, 'proto', each), 'utf8');
    expect(text, each).toContain('option java_package = "com.gatehouse.v1";');
    expect(text, each).toContain('option java_multiple_files = true;');
    expect(text, each).toContain('option csharp_namespace = "Gatehouse.V1";');
  }
});

/** The files of the contract in a fresh clone. In an unpacked archive, which is no clone, all of them. */
function trackedFiles(): string[] {
  if (!existsSync('.git')) return globSync('{proto,third_party}/**/*.proto').concat('buf.yaml');
  const list = ['-c', 'safe.directory=*', 'ls-files', 'proto', 'third_party', 'buf.yaml'];
  return execFileSync('git', list, { encoding: 'utf8' }).trim().split('\n');
}

function compile(options: readonly string[], files: readonly string[], compiler: readonly string[]): void {
  run([...compiler, '-Iproto', '-Ithird_party', ...options, ...files]);
}

function run([program, ...args]: readonly string[], cwd = clone): string {
  return execFileSync(program!, args, { cwd, env, encoding: 'utf8' });
}

function works([program, ...args]: readonly string[]): boolean {
  return spawnSync(program!, args, { env }).status === 0;
}
