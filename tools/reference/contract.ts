import { execFileSync } from 'node:child_process';
import {
  createFileRegistry,
  type DescEnum,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
} from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';

/** The contract as proto/ describes it, with the comments, which generated code does not carry. */
export interface Contract {
  readonly services: readonly DescService[];
  readonly methods: readonly DescMethod[];
  readonly messages: readonly DescMessage[];
  readonly enums: readonly DescEnum[];
  /** The comment of an element by its full name, such as `gatehouse.v1.User.email`. */
  commentOf(name: string): string;
}

/** The order in which a reader wants them. */
const order = ['AuthService', 'SessionService', 'AccountService', 'DeviceService', 'MfaService', 'AdminService'];

export function readContract(): Contract {
  const build = ['build', '--as-file-descriptor-set', '-o', '-', 'proto'];
  const set = fromBinary(FileDescriptorSetSchema, execFileSync('node_modules/.bin/buf', build, { maxBuffer: 1 << 26 }));
  const own = set.file.filter((file) => file.package === 'gatehouse.v1');
  const registry = createFileRegistry(set);
  const files = own.map(({ name }) => registry.getFile(name) as DescFile);
  const comments = new Map(own.flatMap((file) => [...commentsOf(file)]));
  const services = files
    .flatMap((each) => each.services)
    .toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  return {
    services,
    methods: services.flatMap((each) => each.methods),
    messages: files.flatMap((each) => each.messages),
    enums: files.flatMap((each) => each.enums),
    commentOf(name) {
      const comment = comments.get(name);
      if (comment === undefined) throw new Error(`${name} has no comment`);
      return comment;
    },
  };
}

/** How LIMITS and the tests name a method: `AuthService.SignIn`. */
export function nameOf(method: DescMethod): string {
  return `${method.parent.name}.${method.name}`;
}

function commentsOf(file: FileDescriptorProto): ReadonlyMap<string, string> {
  const names = new Map<string, string>(namesIn(file).map(([path, name]) => [path.join('.'), name]));
  const located = (file.sourceCodeInfo?.location ?? []).flatMap(({ path, leadingComments }) => {
    const name = names.get(path.join('.'));
    return name && leadingComments ? [[name, textOf(leadingComments)] as const] : [];
  });
  return new Map(located);
}

function textOf(comment: string): string {
  return comment.replace(/^ /gm, '').trim();
}

type Named = [path: readonly number[], name: string];

// The numbers are those of the fields in google/protobuf/descriptor.proto, as in SourceCodeInfo.Location.path.
function namesIn(file: FileDescriptorProto): Named[] {
  return [
    ...file.messageType.flatMap((each, index) => namesOfMessage(each, [4, index], file.package)),
    ...file.enumType.flatMap((each, index) => namesOfEnum(each, [5, index], file.package)),
    ...file.service.flatMap((service, index): Named[] => {
      const name = `${file.package}.${service.name}`;
      const methods = service.method.map((each, n): Named => [[6, index, 2, n], `${name}.${each.name}`]);
      return [[[6, index], name], ...methods];
    }),
  ];
}

function namesOfMessage(message: DescriptorProto, path: readonly number[], parent: string): Named[] {
  const name = `${parent}.${message.name}`;
  return [
    [path, name],
    ...message.field.map((each, index): Named => [[...path, 2, index], `${name}.${each.name}`]),
    ...message.oneofDecl.map((each, index): Named => [[...path, 8, index], `${name}.${each.name}`]),
    ...message.nestedType.flatMap((each, index) => namesOfMessage(each, [...path, 3, index], name)),
    ...message.enumType.flatMap((each, index) => namesOfEnum(each, [...path, 4, index], name)),
  ];
}

/** Values are named with their enum, although protobuf's own full names leave it out. */
function namesOfEnum(each: EnumDescriptorProto, path: readonly number[], parent: string): Named[] {
  const name = `${parent}.${each.name}`;
  return [[path, name], ...each.value.map((value, index): Named => [[...path, 2, index], `${name}.${value.name}`])];
}
