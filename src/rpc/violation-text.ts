import type { DescEnum, DescField } from '@bufbuild/protobuf';

/** A broken rule of a field, as protovalidate reports it. */
interface Broken {
  readonly message: string;
  /** The field, and for a list or a map the place in it, outermost first. */
  readonly field: readonly object[];
}

type Word = (field: DescField | undefined, ...found: string[]) => string;

/** protovalidate speaks of values, lists and patterns to those who wrote the rule. These are for those who broke it. */
const words: readonly [said: RegExp, word: Word][] = [
  [/^value is empty, which is not/, () => 'must not be empty'],
  [/^must be at least 1 (?:characters|bytes)$/, () => 'must not be empty'],
  [/^must be (at \w+ \d+ (?:characters|bytes))$/, (_, length) => `must be ${length} long`],
  [/^must be a valid email address$/, () => 'must be an e-mail address'],
  [/^must be a valid (.+)$/, (_, form) => `must be a ${form}`],
  [
    /^must be greater than or equal to (\S+) and less than or equal to (\S+)$/,
    (_, a, b) => `must be from ${a} to ${b}`,
  ],
  [/^must be greater than or equal to (\S+)$/, (_, least) => `must be at least ${least}`],
  [/^must equal (.+)$/, (_, value) => `must be ${value}`],
  [/^must be in list \[(.*)\]$/, (field, list) => `must be one of ${field?.enum ? namesIn(field.enum, list!) : list}`],
  [
    /^value must be one of the defined enum/,
    (field) => `must be one of ${field?.enum ? namesIn(field.enum) : 'a list'}`,
  ],
  [/^exactly one field is required in oneof$/, () => 'must be given, and only once'],
  [/^does not match regex pattern `(.*)`$/, (_, pattern) => describePattern(pattern!)],
];

/** What the value of the field has to be, in words for people. A rule with a message of its own keeps it. */
export function describeViolation({ message, field }: Broken): string {
  const innermost = field.findLast((each): each is DescField => 'kind' in each && each.kind === 'field');
  for (const [said, word] of words) {
    const match = said.exec(message);
    if (match) return word(innermost, ...match.slice(1));
  }
  return message;
}

/** The names of an enum's values, of those with these numbers; without the one that says nothing. */
function namesIn({ values }: DescEnum, numbers?: string): string {
  const listed = numbers?.split(', ').map(Number);
  const meant = values.filter(({ number }) => number !== 0 && (listed?.includes(number) ?? true));
  return meant.map(({ name }) => name).join(', ');
}

// One class of characters with a count, which may be left out: ^[A-Za-z0-9-]{6,64}$, ^([A-Za-z0-9-]{6,64})?$
const oneClass = /^\^\(?\[([^\]]+)\](?:[*+]|\{(\d+)(?:,(\d+))?\})\)?\??\$$/;

function describePattern(pattern: string): string {
  const [, characters, least, most] = oneClass.exec(pattern) ?? [];
  if (characters === undefined) return 'must have the form that the contract describes';
  const allowed = describeCharacters(characters);
  if (least === undefined) return `must have no characters but ${allowed}`;
  return `must be ${most ? `${least} to ${most}` : least} characters of ${allowed}`;
}

function describeCharacters(characters: string): string {
  const rest = characters.replace('A-Za-z', '').replace('0-9', '').replace(' ', '');
  const kinds = [
    ...(characters.includes('A-Za-z') ? ['letters'] : []),
    ...(characters.includes('0-9') ? ['digits'] : []),
    ...(characters.includes(' ') ? ['spaces'] : []),
    ...(rest ? [[...rest].join(' ')] : []),
  ];
  return kinds.join(', ').replace(/, (?=[^,]*$)/, ' and ');
}
