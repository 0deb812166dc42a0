import { globSync, readFileSync } from 'node:fs';
import { clone, create, createFileRegistry, setExtension } from '@bufbuild/protobuf';
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodOptionsSchema,
} from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { PolicySchema, policy } from '../../gen/gatehouse/v1/policy_pb.ts';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { settings } from '../../src/config/schema.ts';
import { type Reason, Refusal } from '../../src/errors.ts';
import { policyOf, requirePolicies } from '../../src/rpc/policy.ts';
import { methods, nameOf, services } from '../support/contract.ts';

test('every method of every service says who may call it', () => {
  expect(services.length).toBeGreaterThanOrEqual(3);
  const silent = methods.filter((each) => !policyOf(each)?.access);
  expect(silent.map(nameOf)).toEqual([]);
});

test('a method without a policy, or with one that names no access, keeps the service from starting', () => {
  expect(() => requirePolicies(methods)).not.toThrow();
  expect(() => requirePolicies(Health.methods)).toThrow('no policy on grpc.health.v1.Health.Check');
  const withoutOne = changed((file) => {
    file.service[0]!.method[1]!.options = undefined;
  });
  expect(() => requirePolicies(withoutOne.methods)).toThrow(/^no policy on gatehouse\.v1\.AuthService\.SignIn$/);
  const withoutAccess = changed((file) => {
    const options = create(MethodOptionsSchema);
    setExtension(options, policy, create(PolicySchema, { perMinute: 3 }));
    file.service[0]!.method[0]!.options = options;
  });
  expect(() => requirePolicies(withoutAccess.methods)).toThrow(/^no policy on gatehouse\.v1\.AuthService\.Register$/);
});

test('every reason that the contract documents is one the service gives', () => {
  const protos = globSync('proto/gatehouse/v1/*.proto').map((each) => readFileSync(each, 'utf8'));
  const choices = new Set(
    protos.flatMap((each) => each.match(/^ +[A-Z][A-Z0-9_]+(?= = \d)/gm) ?? []).map((each) => each.trim()),
  );
  const comments = protos.flatMap((each) => each.match(/\/\/.*$/gm) ?? []);
  const words = new Set(comments.flatMap((each) => each.match(/\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b/g) ?? []));
  expect([...words].filter(isReason).length).toBeGreaterThan(15);
  // Of the descriptor's own.
  choices.add('NO_SIDE_EFFECTS');
  const unknown = [...words].filter((each) => !isReason(each) && !choices.has(each) && !(each in settings));
  expect(unknown, 'neither a reason nor a setting nor an enum value').toEqual([]);
});

/** AuthService as it would be if its file were different. */
function changed(change: (file: FileDescriptorProto) => void) {
  const files = new Map<string, FileDescriptorProto>();
  const add = (file: typeof AuthService.file): void => {
    if (files.has(file.proto.name)) return;
    for (const each of file.dependencies) add(each);
    files.set(file.proto.name, clone(FileDescriptorProtoSchema, file.proto));
  };
  add(AuthService.file);
  change(files.get(AuthService.file.proto.name)!);
  return createFileRegistry(create(FileDescriptorSetSchema, { file: [...files.values()] })).getService(
    AuthService.typeName,
  )!;
}

function isReason(word: string): boolean {
  try {
    return new Refusal(word as Reason).reason === word;
  } catch {
    return false;
  }
}
