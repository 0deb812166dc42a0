import { create, type DescMethodUnary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';

/** One gRPC message as it goes over the wire: a flag, the length, the bytes. */
export function frame(bytes: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(5 + bytes.byteLength);
  framed[0] = 0;
  framed.writeUInt32BE(bytes.byteLength, 1);
  framed.set(bytes, 5);
  return framed;
}

export function requestFrame<M extends DescMethodUnary>(method: M, message: MessageInitShape<M['input']>): Buffer {
  return frame(toBinary(method.input, create(method.input, message)));
}

export function pathOf(method: DescMethodUnary): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** The bytes of a length-delimited field of a protobuf message, without decoding the rest. */
export function fieldOf(message: Buffer, wanted: number): Buffer | undefined {
  for (let at = 0; at < message.length; ) {
    const tag = varint(message, at);
    const field = tag.value >>> 3;
    const kind = tag.value & 7;
    const body = varint(message, tag.next);
    if (kind !== 0 && kind !== 2) return undefined;
    if (kind === 2 && field === wanted) return message.subarray(body.next, body.next + body.value);
    at = kind === 2 ? body.next + body.value : body.next;
  }
  return undefined;
}

function varint(bytes: Buffer, start: number): { value: number; next: number } {
  let value = 0;
  for (let at = start, shift = 0; ; at++, shift += 7) {
    value |= (bytes[at]! & 0x7f) << shift;
    if (bytes[at]! < 0x80) return { value, next: at + 1 };
  }
}
