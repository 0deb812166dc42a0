import { globSync } from 'node:fs';
import path from 'node:path';
import type { DescFile, DescMethodUnary, DescService } from '@bufbuild/protobuf';

const files = globSync('gen/gatehouse/v1/*_pb.ts').sort();
const modules = await Promise.all(files.map((each) => import(path.resolve(each)) as Promise<Record<string, unknown>>));
const descriptors = modules.flatMap((each) => Object.values(each)) as (DescFile | DescService | { kind?: string })[];

/** Every service of the contract, as the generated code describes it. */
export const services = descriptors.filter((each): each is DescService => each?.kind === 'service');

/** Every unary method of the contract. */
export const methods = services
  .flatMap((each) => each.methods)
  .filter((each): each is DescMethodUnary => each.methodKind === 'unary');

/** The name of a method in LIMITS and in tests: `AuthService.SignIn`. */
export function nameOf(method: DescMethodUnary): string {
  return `${method.parent.name}.${method.name}`;
}

/** The path of a method on both wires. */
export function pathOf(method: DescMethodUnary): string {
  return `/${method.parent.typeName}/${method.name}`;
}
