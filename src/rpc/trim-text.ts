import { type DescMessage, isMessage, type Message, ScalarType } from '@bufbuild/protobuf';
import { trimAddress } from '../text/email-address.ts';
import { trimMarks } from '../text/invisible-characters.ts';

const trims: Readonly<Record<string, (text: string) => string>> = {
  name: trimMarks,
  email: trimAddress,
  email_prefix: trimAddress,
};

interface Place {
  /** The oneofs and messages on the way, outermost first. */
  readonly path: readonly Step[];
  readonly localName: string;
  readonly trim: (text: string) => string;
}

interface Step {
  readonly oneof: string | undefined;
  readonly localName: string;
}

const placesBySchema = new Map<DescMessage, readonly Place[]>();

/**
 * Removes what keyboards and copied text leave around names and addresses, in the request and in the messages in it. It
 * runs before the rules of the contract are checked, so that an address is the same in every field.
 */
export function trimText(schema: DescMessage, message: Message): void {
  const known = placesBySchema.get(schema);
  const places = known ?? findPlaces(schema, []);
  if (!known) placesBySchema.set(schema, places);
  for (const { path, localName, trim } of places) {
    const holder = follow(message, path);
    const text = holder?.[localName];
    if (holder && typeof text === 'string') holder[localName] = trim(text);
  }
}

function findPlaces(schema: DescMessage, path: readonly Step[]): Place[] {
  return schema.fields.flatMap((field) => {
    const { name, localName, oneof } = field;
    const trim = field.scalar === ScalarType.STRING && field.fieldKind === 'scalar' ? trims[name] : undefined;
    if (trim) return [{ path, localName, trim }];
    // A message in itself, such as a Struct, has no names or addresses of ours.
    if (field.fieldKind !== 'message' || field.message.typeName.startsWith('google.')) return [];
    return findPlaces(field.message, [...path, { oneof: oneof?.localName, localName }]);
  });
}

function follow(message: Message, path: readonly Step[]): Record<string, unknown> | undefined {
  let at: unknown = message;
  for (const { oneof, localName } of path) {
    const holder = at as Record<string, unknown>;
    const chosen = oneof === undefined ? undefined : (holder[oneof] as { case?: string; value?: unknown });
    at = chosen ? chosen.case === localName && chosen.value : holder[localName];
    if (!isMessage(at)) return undefined;
  }
  return at as Record<string, unknown>;
}
