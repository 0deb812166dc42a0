import {
  createRegistry,
  type DescEnum,
  type DescEnumValue,
  type DescExtension,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescOneof,
  getExtension,
  hasExtension,
  type Message,
  type Registry,
  ScalarType,
} from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import { reflect } from '@bufbuild/protobuf/reflect';
import { toText } from '@bufbuild/protobuf/txtpb';
import {
  Edition,
  EnumOptionsSchema,
  EnumValueOptionsSchema,
  FieldDescriptorProto_Label,
  FieldOptionsSchema,
  FileOptionsSchema,
  MessageOptionsSchema,
  OneofOptionsSchema,
} from '@bufbuild/protobuf/wkt';

type AnyField = DescField | DescExtension;
type Option = [name: string, value: string];
type Range = { start: number; end: number };

const lastFieldNumber = 536_870_911;
const lastEnumNumber = 2_147_483_647;

/**
 * Prints the source of a .proto file from the descriptor inside generated code, for protos that npm carries in that
 * form alone. Comments are lost; compiled again it gives the same descriptor. Covers proto2 and proto3 files without
 * services and without options that are messages of their own beside extensions: what buf/validate needs.
 */
export function printProto(file: DescFile): string {
  const registry = createRegistry(file, ...file.dependencies);
  const lines = [
    file.edition === Edition.EDITION_PROTO3 ? 'syntax = "proto3";' : 'syntax = "proto2";',
    `package ${file.proto.package};`,
    ...file.proto.dependency.map((path) => `import ${JSON.stringify(path)};`),
    ...optionLines(readOptions(registry, FileOptionsSchema, file.proto.options)),
    ...printExtensions(registry, file.extensions),
    ...file.enums.flatMap((each) => printEnum(registry, each)),
    ...file.messages.flatMap((each) => printMessage(registry, each)),
  ];
  return `${lines.join('\n')}\n`;
}

function printMessage(registry: Registry, message: DescMessage): string[] {
  // The descriptor's ends are exclusive here, and inclusive in enums.
  const inclusive = ({ start, end }: Range) => ({ start, end: end - 1 });
  return block(`message ${message.name}`, [
    ...optionLines(readOptions(registry, MessageOptionsSchema, message.proto.options)),
    ...message.proto.reservedRange.map((each) => `reserved ${printRange(inclusive(each), lastFieldNumber)};`),
    ...message.proto.reservedName.map((name) => `reserved ${JSON.stringify(name)};`),
    ...message.proto.extensionRange.map((each) => `extensions ${printRange(inclusive(each), lastFieldNumber)};`),
    ...message.members.flatMap((each) =>
      each.kind === 'oneof' ? printOneof(registry, each) : printField(registry, each, labelOf(each)),
    ),
    ...message.nestedEnums.flatMap((each) => printEnum(registry, each)),
    ...message.nestedMessages.flatMap((each) => printMessage(registry, each)),
    ...printExtensions(registry, message.nestedExtensions),
  ]);
}

function printOneof(registry: Registry, oneof: DescOneof): string[] {
  return block(`oneof ${oneof.name}`, [
    ...optionLines(readOptions(registry, OneofOptionsSchema, oneof.proto.options)),
    ...oneof.fields.flatMap((field) => printField(registry, field, '')),
  ]);
}

function printEnum(registry: Registry, each: DescEnum): string[] {
  return block(`enum ${each.name}`, [
    ...optionLines(readOptions(registry, EnumOptionsSchema, each.proto.options)),
    ...each.proto.reservedRange.map((range) => `reserved ${printRange(range, lastEnumNumber)};`),
    ...each.proto.reservedName.map((name) => `reserved ${JSON.stringify(name)};`),
    ...each.values.map((value) => printEnumValue(registry, value)),
  ]);
}

function printEnumValue(registry: Registry, value: DescEnumValue): string {
  const options = readOptions(registry, EnumValueOptionsSchema, value.proto.options);
  return `${value.name} = ${value.number}${optionList(options)};`;
}

function printExtensions(registry: Registry, extensions: readonly DescExtension[]): string[] {
  const byExtendee = Map.groupBy(extensions, (each) => each.extendee.typeName);
  return [...byExtendee].flatMap(([name, fields]) =>
    block(
      `extend .${name}`,
      fields.flatMap((field) => printField(registry, field, labelOf(field))),
    ),
  );
}

function printField(registry: Registry, field: AnyField, label: string): string[] {
  const options = readOptions(registry, FieldOptionsSchema, field.proto.options);
  if (field.proto.defaultValue) options.unshift(['default', printDefault(field)]);
  return `${label}${typeOf(field)} ${field.name} = ${field.number}${optionList(options)};`.split('\n');
}

function printDefault(field: AnyField): string {
  const value = field.proto.defaultValue;
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING ? JSON.stringify(value) : value;
}

function printRange({ start, end }: Range, last: number): string {
  if (end === start) return `${start}`;
  return `${start} to ${end === last ? 'max' : end}`;
}

function labelOf(field: AnyField): string {
  if (field.fieldKind === 'map') return '';
  if (field.fieldKind === 'list') return 'repeated ';
  if (field.proto.proto3Optional) return 'optional ';
  const file = field.kind === 'extension' ? field.file : field.parent.file;
  if (file.edition !== Edition.EDITION_PROTO2) return '';
  return field.proto.label === FieldDescriptorProto_Label.REQUIRED ? 'required ' : 'optional ';
}

function typeOf(field: AnyField): string {
  if (field.fieldKind !== 'map') return elementType(field);
  return `map<${ScalarType[field.mapKey].toLowerCase()}, ${elementType(field)}>`;
}

function elementType(field: AnyField): string {
  if (field.message) return `.${field.message.typeName}`;
  if (field.enum) return `.${field.enum.typeName}`;
  return ScalarType[field.scalar].toLowerCase();
}

function readOptions(registry: Registry, schema: GenMessage<Message>, options: Message | undefined): Option[] {
  if (!options) return [];
  return [...readPlainOptions(schema, options), ...readCustomOptions(registry, schema, options)];
}

function readPlainOptions(schema: GenMessage<Message>, options: Message): Option[] {
  const read = reflect(schema, options);
  return schema.fields.flatMap((field): Option[] => {
    // The compiler sets map_entry itself, and refuses it in a source.
    if (!read.isSet(field) || field.name === 'map_entry') return [];
    if (field.fieldKind === 'list' && field.listKind !== 'message')
      return [...read.get(field)].map((item) => [field.name, printValue(field, item)]);
    if (field.fieldKind === 'scalar' || field.fieldKind === 'enum')
      return [[field.name, printValue(field, read.get(field))]];
    throw new Error(`cannot print the option ${field}`);
  });
}

function readCustomOptions(registry: Registry, schema: GenMessage<Message>, options: Message): Option[] {
  return [...registry].flatMap((type): Option[] => {
    if (type.kind !== 'extension' || type.extendee.typeName !== schema.typeName) return [];
    if (!hasExtension(options, type)) return [];
    const value: unknown = getExtension(options, type);
    if (type.fieldKind !== 'message') return [[`(${type.typeName})`, printValue(type, value)]];
    const text = toText(type.message, value as Message, { registry }).trimEnd();
    return [[`(${type.typeName})`, `{\n${text}\n}`]];
  });
}

function printValue(field: AnyField, value: unknown): string {
  if (field.enum) return field.enum.value[value as number]?.name ?? String(value);
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function optionLines(options: Option[]): string[] {
  return options.flatMap(([name, value]) => `option ${name} = ${value};`.split('\n'));
}

function optionList(options: Option[]): string {
  if (options.length === 0) return '';
  return ` [${options.map(([name, value]) => `${name} = ${value}`).join(', ')}]`;
}

function block(head: string, lines: string[]): string[] {
  return [`${head} {`, ...lines.map((line) => `  ${line}`), '}'];
}
