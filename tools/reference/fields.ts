import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import type { Contract } from './contract.ts';

/** What AIP-203 calls the behaviour of a field: the first word of its comment, in messages that clients send. */
const behaviour = /^(Required|Optional)\. /;

/** The fields of a message as a table, with a column for their behaviour where clients send the message. */
export function fieldTable(contract: Contract, message: DescMessage): string {
  const isSent = !isOutputOnly(contract, message);
  const head = isSent ? ['Field', 'Type', '', 'Description'] : ['Field', 'Type', 'Description'];
  const rows = message.fields.map((field) => {
    const comment = contract.commentOf(`${message.typeName}.${field.name}`).replaceAll('\n', ' ');
    const [, word = ''] = behaviour.exec(comment) ?? [];
    const text = `${oneofNote(contract, field)}${comment.replace(behaviour, '')}`.replaceAll('|', '\\|');
    return [`\`${field.name}\``, typeOf(field), ...(isSent ? [word.toLowerCase()] : []), text];
  });
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function oneofNote(contract: Contract, { oneof, parent }: DescField): string {
  if (!oneof) return '';
  const comment = contract.commentOf(`${parent.typeName}.${oneof.name}`).replaceAll('\n', ' ');
  return `One of \`${oneof.name}\` (${comment.replace(/\.$/, '')}): `;
}

function typeOf(field: DescField): string {
  const type = elementType(field);
  return field.fieldKind === 'list' ? `list of ${type}` : type;
}

function elementType(field: DescField): string {
  const named = field.message ?? field.enum;
  if (!named) return ScalarType[field.scalar as ScalarType].toLowerCase();
  if (named.typeName.startsWith('google.protobuf.')) return wellKnown[named.name] ?? named.name;
  return `[${named.name}](#${named.name.toLowerCase()})`;
}

const wellKnown: Readonly<Record<string, string>> = {
  Timestamp: 'timestamp',
  Duration: 'duration',
  Struct: 'JSON object',
};

/** Whether no request contains the message, so that only the service sets its fields. */
export function isOutputOnly(contract: Contract, message: DescMessage): boolean {
  return !contract.methods.some(({ input }) => contains(input, message));
}

/** Messages that are not the request or the response of a method. */
export function sharedMessages(contract: Contract): DescMessage[] {
  const policies = ['Policy', 'FailureLimits'];
  const ofMethods = contract.methods.flatMap(({ input, output }) => [input, output]);
  return contract.messages
    .filter((each) => !ofMethods.includes(each) && !policies.includes(each.name))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function contains(outer: DescMessage, inner: DescMessage): boolean {
  // Those of Google contain none of ours, and one of them contains itself.
  if (outer.typeName.startsWith('google.')) return false;
  return outer === inner || outer.fields.some(({ message }) => message && contains(message, inner));
}
