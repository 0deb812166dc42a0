import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { create, createFileRegistry, fromBinary, getOption, hasOption, toJson } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { ConnectError, createClient } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { Access, policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import { ServerReflection, type ServerReflectionResponse } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { methods, nameOf, services } from '../support/contract.ts';
import { ada, serviceKey } from '../support/people.ts';
import { start, type TestService } from '../support/start.ts';

test.each(['grpc-v1', 'grpc-v1alpha'])(
  'buf curl lists and calls the services with nothing but %s',
  async (protocol) => {
    const service = await start();
    const { tokens } = await service.welcome();
    const buf = (url: string, ...more: string[]) =>
      bufCurl(service, url, '--reflect', '--reflect-protocol', protocol, ...more);
    const listed = await buf('', '--list-services');
    for (const each of services) expect(listed.out).toContain(each.typeName);
    expect(listed.out).toContain('grpc.health.v1.Health');
    expect(listed.out).toContain('grpc.reflection.v1.ServerReflection');
    const me = await buf(
      '/gatehouse.v1.AuthService/GetMe',
      '-H',
      `authorization: Bearer ${tokens.accessToken}`,
      '-d',
      '{}',
    );
    expect(JSON.parse(me.out).user.email).toBe(ada.email);
    const introspect = { token: tokens.accessToken, max_staleness: '0s' };
    const answer = await buf(
      '/gatehouse.v1.SessionService/Introspect',
      '-H',
      `authorization: Bearer ${serviceKey}`,
      '-d',
      JSON.stringify(introspect),
    );
    expect(JSON.parse(answer.out)).toMatchObject({ active: true, email: ada.email });
    const refused = await buf(
      '/gatehouse.v1.AuthService/SignIn',
      '-d',
      '{"email":"ada@example.org","password":"wrong"}',
    );
    expect(refused.code).not.toBe(0);
    expect(JSON.parse(refused.err)).toMatchObject({
      code: 'unauthenticated',
      message: 'Incorrect email or password',
      details: [{ type: 'google.rpc.ErrorInfo' }],
    });
    const checked = await buf('/grpc.health.v1.Health/Check', '-d', '{}');
    expect(JSON.parse(checked.out)).toEqual({ status: 'SERVING' });
  },
);

test.each([
  ['v1', ServerReflection],
  ['v1alpha', ServerReflectionAlpha],
])('a client that knows nothing but reflection %s can read why a call was refused', async (_, reflection) => {
  const service = await start();
  const { auth } = service.clients('grpc');
  const error = await auth.signIn({ email: '' }).catch((thrown: unknown) => ConnectError.from(thrown));
  const details = (error as ConnectError).details as IncomingDetail[];
  const ask = reflectionOf(service, reflection as typeof ServerReflection);
  const replies = await ask(details.map(({ type }) => ({ case: 'fileContainingSymbol', value: type })));
  const read = details.map(({ type, value }, index) => {
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: filesOf(replies[index]!) }));
    const schema = registry.getMessage(type)!;
    return toJson(schema, fromBinary(schema, value));
  });
  expect(read).toMatchObject([
    { reason: 'INVALID_ARGUMENT', domain: 'gatehouse' },
    { fieldViolations: [{ field: 'email' }, { field: 'password' }] },
  ]);
  const [own] = await ask([{ case: 'fileContainingSymbol', value: reflection.typeName }]);
  expect(filesOf(own!).at(-1)!.name).toBe(reflection.file.proto.name);
});

// buf curl prints details as base64, whatever reflection says: it knows only the types that it was built with.
const hasGrpcurl = spawnSync('grpcurl', ['-version']).status === 0;
if (!hasGrpcurl) console.warn('NOT TRIED: reflection with grpcurl, because it is not on this machine');

test.runIf(hasGrpcurl)('grpcurl prints the reason of a refusal, and describes reflection', async () => {
  const { replicas } = await start();
  const grpcurl = (...args: string[]) => run(args, 'grpcurl');
  const address = `127.0.0.1:${replicas[0]!.grpcPort}`;
  const signIn = ['-plaintext', '-d', '{"email":"ada@example.org","password":"wrong"}', address];
  const refused = await grpcurl('-format-error', ...signIn, 'gatehouse.v1.AuthService/SignIn');
  expect(JSON.parse(refused.err).details).toMatchObject([{ reason: 'INVALID_CREDENTIALS', domain: 'gatehouse' }]);
  const described = await grpcurl('-plaintext', address, 'describe', 'grpc.reflection.v1.ServerReflection');
  expect(described.out).toContain('rpc ServerReflectionInfo');
});

test('buf curl calls the gateway by the Connect protocol, with the protos as its schema', async () => {
  const service = await start();
  const url = `http://127.0.0.1:${service.replicas[0]!.httpPort}/gatehouse.v1.AuthService/SignUpAnonymous`;
  for (const codec of ['json', 'proto']) {
    const { out, err } = await run([
      'curl',
      '--protocol',
      'connect',
      '--schema',
      'proto',
      '-d',
      '{"kind":"SESSION_KIND_NATIVE"}',
      url,
    ]);
    expect(JSON.parse(out || err), codec).toMatchObject({
      user: { isAnonymous: true },
      session: { kind: 'SESSION_KIND_NATIVE' },
    });
  }
});

test.each([
  ['v1', ServerReflection],
  ['v1alpha', ServerReflectionAlpha],
])('reflection %s includes the policies of the methods', async (_, reflection) => {
  const service = await start();
  const ask = reflectionOf(service, reflection as typeof ServerReflection);
  for (const each of services) {
    const [answer] = await ask([{ case: 'fileContainingSymbol', value: each.typeName }]);
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: filesOf(answer!) }));
    for (const method of registry.getService(each.typeName)!.methods) {
      expect(hasOption(method, policy), method.name).toBe(true);
      const original = each.methods.find(({ name }) => name === method.name)!;
      expect(getOption(method, policy)).toEqual(policyOf(original));
    }
  }
  expect(policyOf(methods.find((each) => nameOf(each) === 'AuthService.SignIn')!)).toMatchObject({
    access: Access.PUBLIC,
  });
});

test('reflection finds files, messages, fields, methods and extensions, and refuses unknown names', async () => {
  const ask = reflectionOf(await start(), ServerReflection);
  const answers = await ask([
    { case: 'listServices', value: '' },
    { case: 'fileByFilename', value: 'gatehouse/v1/session.proto' },
    { case: 'fileContainingSymbol', value: '.gatehouse.v1.Session' },
    { case: 'fileContainingSymbol', value: 'gatehouse.v1.Session.user_id' },
    { case: 'fileContainingSymbol', value: 'gatehouse.v1.SessionService.Refresh' },
    {
      case: 'fileContainingExtension',
      value: { containingType: 'google.protobuf.MethodOptions', extensionNumber: 50001 },
    },
    { case: 'allExtensionNumbersOfType', value: 'google.protobuf.MethodOptions' },
    { case: 'fileByFilename', value: '../../etc/passwd' },
    { case: 'fileContainingSymbol', value: 'gatehouse.v1.Nothing' },
    { case: 'fileContainingSymbol', value: '__proto__' },
    { case: 'fileContainingExtension', value: { containingType: 'google.protobuf.MethodOptions', extensionNumber: 1 } },
    { case: 'allExtensionNumbersOfType', value: 'gatehouse.v1.User' },
    { case: undefined },
  ]);
  const kinds = answers.map(({ messageResponse: { case: kind, value } }) =>
    kind === 'errorResponse'
      ? value.errorCode
      : kind === 'fileDescriptorResponse'
        ? fileNames(value.fileDescriptorProto)[0]
        : kind,
  );
  const session = 'gatehouse/v1/session.proto';
  const policies = 'gatehouse/v1/policy.proto';
  expect(kinds).toEqual([
    'listServicesResponse',
    session,
    session,
    session,
    session,
    policies,
    'allExtensionNumbersResponse',
    5,
    5,
    5,
    5,
    5,
    3,
  ]);
});

test('with REFLECTION=off there is no reflection service', async () => {
  const service = await start({ env: { REFLECTION: 'off' } });
  for (const reflection of [ServerReflection, ServerReflectionAlpha]) {
    const ask = reflectionOf(service, reflection as typeof ServerReflection);
    await expect(ask([{ case: 'listServices', value: '' }])).rejects.toThrow('unimplemented');
  }
});

function reflectionOf(service: TestService, reflection: typeof ServerReflection) {
  const client = createClient(reflection, service.transport('grpc'));
  return async (questions: readonly ({ case: string; value: unknown } | { case: undefined })[]) => {
    const requests = questions.map((messageRequest) => ({ messageRequest }) as never);
    const answers: ServerReflectionResponse[] = [];
    for await (const each of client.serverReflectionInfo(stream(requests))) answers.push(each);
    return answers;
  };
}

async function* stream<T>(each: readonly T[]): AsyncGenerator<T> {
  yield* each;
}

/** A detail of an error as it came over the wire. */
interface IncomingDetail {
  readonly type: string;
  readonly value: Uint8Array;
}

/** The files of a response, each after the files that it imports. */
function filesOf({ messageResponse: { case: kind, value } }: ServerReflectionResponse): FileDescriptorProto[] {
  if (kind !== 'fileDescriptorResponse') throw new Error(`no files: ${kind}`);
  const files = new Map(
    value.fileDescriptorProto
      .map((each) => fromBinary(FileDescriptorProtoSchema, each))
      .map((each) => [each.name, each]),
  );
  const ordered = new Set<FileDescriptorProto>();
  const add = (file: FileDescriptorProto): void => {
    for (const name of file.dependency) add(files.get(name)!);
    ordered.add(file);
  };
  for (const each of files.values()) add(each);
  return [...ordered];
}

function fileNames(files: readonly Uint8Array[]): string[] {
  return files.map((each) => fromBinary(FileDescriptorProtoSchema, each).name);
}

function bufCurl({ replicas }: TestService, path: string, ...args: string[]) {
  return run([
    'curl',
    '--protocol',
    'grpc',
    '--http2-prior-knowledge',
    ...args,
    `http://127.0.0.1:${replicas[0]!.grpcPort}${path}`,
  ]);
}

async function run(
  args: string[],
  program = 'node_modules/.bin/buf',
): Promise<{ out: string; err: string; code: number }> {
  const running = promisify(execFile)(program, args, { timeout: 15_000 });
  return running.then(
    ({ stdout, stderr }) => ({ out: stdout, err: stderr, code: 0 }),
    ({ stdout, stderr, code }) => ({ out: stdout, err: stderr, code }),
  );
}
